# Sourced by demo.sh: the node's half of the incident, in network namespaces that are gone at the end.
#
# A namespace is the node, eleven are pods that have one address; the node is set up as Calico's own parts do it (a route to
# the newest interface, a permanent neighbour on each, proxy ARP, a blackhole of the block). Each pod sends one packet.
# shellcheck shell=bash

spaces=()
node_space=ipaudit-demo-$$

# Whether this machine lets us make one.
can_make_spaces() {
    command -v ip >/dev/null || return 1
    ip netns add "$node_space" 2>/dev/null || return 1
    spaces+=("$node_space")
}

remove_spaces() {
    local space
    for space in "${spaces[@]}"; do ip netns delete "$space" 2>/dev/null || true; done
    spaces=()
}

on_node() { ip netns exec "$node_space" "$@"; }

# make_node ADDRESS BLOCK INTERFACE...: the pod of the last interface is the newest.
make_node() {
    local address=$1 block=$2 interface pod
    shift 2
    ip -n "$node_space" link set lo up
    ip -n "$node_space" link add eth0 type veth peer name uplink
    ip -n "$node_space" address add 172.20.0.11/24 dev eth0
    ip -n "$node_space" link set eth0 up
    ip -n "$node_space" link set uplink up
    ip -n "$node_space" route add default via 172.20.0.1
    on_node sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=1
    for interface in "$@"; do
        pod=$node_space-$interface
        ip netns add "$pod"
        spaces+=("$pod")
        ip -n "$node_space" link add "$interface" address ee:ee:ee:ee:ee:ee type veth peer name eth0 netns "$pod"
        ip -n "$pod" address add "$address/32" dev eth0
        ip -n "$pod" link set eth0 up
        ip -n "$pod" route add 169.254.1.1 dev eth0 scope link
        ip -n "$pod" route add default via 169.254.1.1 dev eth0
        ip -n "$node_space" link set "$interface" up
        on_node sysctl -qw "net.ipv4.conf.$interface.proxy_arp=1" "net.ipv4.neigh.$interface.proxy_delay=0" \
            "net.ipv4.conf.$interface.forwarding=1" "net.ipv4.conf.$interface.rp_filter=1"
        ip -n "$node_space" neigh replace "$address" dev "$interface" nud permanent \
            lladdr "$(ip netns exec "$pod" cat /sys/class/net/eth0/address)"
        ip -n "$node_space" route replace "$address/32" dev "$interface" scope link metric 1024
    done
    ip -n "$node_space" route add blackhole "$block" proto 80
    for interface in "$@"; do
        ip netns exec "$node_space-$interface" bash -c 'echo >/dev/udp/172.20.0.99/9' 2>/dev/null || true
    done
}
