// The rules that Docker writes for one published port (`-p 8088:80`, its bridge with IPv4 and IPv6, no userland proxy), as
// `nft list ruleset` shows them on a host with iptables-nft: NAT, forwarding, masquerading, protection of the container's own
// address.

export const published = 8088;
export const containerPort = 80;
export const container = { 4: '172.17.0.2', 6: 'fd17::2' } as const;

const parts = {
  ip: {
    family: 'ip',
    address: container[4],
    network: '172.17.0.0/16',
    loopback: '127.0.0.0/8',
    target: `${container[4]}:80`,
  },
  ip6: { family: 'ip6', address: container[6], network: 'fd17::/64', loopback: '::1', target: `[${container[6]}]:80` },
} as const;

function tables({ family, address, network, loopback, target }: (typeof parts)['ip' | 'ip6']): string {
  return `table ${family} raw {
  chain PREROUTING {
    type filter hook prerouting priority raw; policy accept;
    iifname != "docker0" ${family} daddr ${address} counter drop
  }
}
table ${family} nat {
  chain DOCKER {
    iifname != "docker0" tcp dport ${published} counter dnat to ${target}
  }
  chain PREROUTING {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local counter jump DOCKER
  }
  chain OUTPUT {
    type nat hook output priority -100; policy accept;
    ${family} daddr != ${loopback} fib daddr type local counter jump DOCKER
  }
  chain POSTROUTING {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "docker0" ${family} saddr ${network} counter masquerade
  }
}
table ${family} filter {
  chain DOCKER {
    iifname != "docker0" oifname "docker0" ${family} daddr ${address} tcp dport ${containerPort} counter accept
    iifname != "docker0" oifname "docker0" counter drop
  }
  chain DOCKER-FORWARD {
    oifname "docker0" ct state related,established counter accept
    oifname "docker0" counter jump DOCKER
    iifname "docker0" counter accept
  }
  chain DOCKER-USER {
    counter return
  }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    counter jump DOCKER-FORWARD
  }
}
`;
}

export const dockerRules = tables(parts.ip) + tables(parts.ip6);
