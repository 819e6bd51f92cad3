#!/bin/sh
# Asks the AuthZEN decision point of an edge everything once. Needs curl and `authz.authzen` in edge.yaml (examples/config).
#   SOCKET=/run/edgeward/authzen.sock sh examples/authzen/ask.sh
# The names are those of examples/policy: gateway-1 may view hmi-web of hmi-1.
set -eu
SOCKET="${SOCKET:-/run/edgeward/authzen.sock}"

# The host in the URL is not dialled, the socket is. A request id comes back and is in the caller's own log too.
ask() {
  printf '%s\n' "== $1"
  curl --silent --show-error --max-time 5 --unix-socket "$SOCKET" \
    --header 'Content-Type: application/json' --header "X-Request-ID: example-$$" \
    --data-binary @- "http://localhost/access/v1/$1"
  printf '\n'
}

# May gateway-1 do all that the operation `view` stands for? The caller can make a device prove itself again.
ask evaluation <<'JSON'
{
  "subject": {"type": "device", "id": "gateway-1"},
  "action": {"name": "view"},
  "resource": {"type": "interface", "id": "hmi-web"},
  "context": {"supported_obligations": ["step-up"]}
}
JSON

# Three questions at once. What stands above is the default of each; the first denial ends it.
ask evaluations <<'JSON'
{
  "subject": {"type": "device", "id": "gateway-1"},
  "resource": {"type": "interface", "id": "hmi-web"},
  "options": {"evaluations_semantic": "deny_on_first_deny"},
  "evaluations": [
    {"action": {"name": "GET", "properties": {"path": "/status"}}},
    {"action": {"name": "POST", "properties": {"path": "/admin/reset"}}},
    {"action": {"name": "GET", "properties": {"path": "/status"}}}
  ]
}
JSON

# Which devices may view it, on which interfaces may gateway-1 do it, and what may gateway-1 do there?
ask search/subject <<'JSON'
{
  "subject": {"type": "device"},
  "action": {"name": "view"},
  "resource": {"type": "interface", "id": "hmi-web"},
  "page": {"limit": 50}
}
JSON
ask search/resource <<'JSON'
{"subject": {"type": "device", "id": "gateway-1"}, "action": {"name": "view"}, "resource": {"type": "interface"}}
JSON
ask search/action <<'JSON'
{"subject": {"type": "device", "id": "gateway-1"}, "resource": {"type": "interface", "id": "hmi-web"}}
JSON

# Where everything is, for callers that are told a URL alone (authz.authzen.url).
printf '== metadata\n'
curl --silent --show-error --max-time 5 --unix-socket "$SOCKET" http://localhost/.well-known/authzen-configuration
printf '\n'
