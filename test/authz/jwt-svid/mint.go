// Mints JWT-SVIDs and their trust bundle the way SPIRE does (go-jose signs, go-spiffe writes the bundle document and checks each
// token again), for test/authz/jwt-svid.test.ts.
//   go mod init mint && go get github.com/spiffe/go-spiffe/v2@v2.6.0 github.com/go-jose/go-jose/v4@v4.1.3 && go run . > go-spiffe.json
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	domain := spiffeid.RequireTrustDomainFromString("plant.example")
	subject := "spiffe://plant.example/device/gateway-1"
	audience := "edge-1.plant.example"
	issued := time.Now().Truncate(time.Second)
	expires := issued.Add(time.Hour)
	keys := []struct {
		alg jose.SignatureAlgorithm
		key crypto.Signer
	}{
		{jose.ES256, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))},
		{jose.ES384, must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))},
		{jose.RS256, must(rsa.GenerateKey(rand.Reader, 2048))},
		{jose.PS256, must(rsa.GenerateKey(rand.Reader, 2048))},
	}
	bundle := spiffebundle.New(domain)
	bundle.SetSequenceNumber(7)
	bundle.SetRefreshHint(5 * time.Minute)
	tokens := map[string]string{}
	for _, entry := range keys {
		kid := "authority-" + string(entry.alg)
		if err := bundle.AddJWTAuthority(kid, entry.key.Public()); err != nil {
			panic(err)
		}
		options := (&jose.SignerOptions{}).WithType("JWT")
		signer := must(jose.NewSigner(jose.SigningKey{Algorithm: entry.alg, Key: jose.JSONWebKey{Key: entry.key, KeyID: kid}}, options))
		claims := jwt.Claims{Subject: subject, Audience: jwt.Audience{audience}, Expiry: jwt.NewNumericDate(expires), IssuedAt: jwt.NewNumericDate(issued)}
		token := must(jwt.Signed(signer).Claims(claims).Serialize())
		must(jwtsvid.ParseAndValidate(token, jwtbundle.FromJWTAuthorities(domain, bundle.JWTAuthorities()), []string{audience}))
		tokens[string(entry.alg)] = token
	}
	out := map[string]any{
		"bundle": json.RawMessage(must(bundle.Marshal())), "tokens": tokens, "issuedAt": issued.Unix(), "expiresAt": expires.Unix(),
		"subject": subject, "audience": audience,
	}
	fmt.Fprintln(os.Stdout, string(must(json.MarshalIndent(out, "", "  "))))
}
