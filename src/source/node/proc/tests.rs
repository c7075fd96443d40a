use super::*;

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

#[test]
fn a_control_group_names_the_pod_and_its_container() {
    let id = "4f5e".repeat(16);
    let uid = "1b2c3d4e-0000-4000-8000-00000000000a";
    let under = uid.replace('-', "_");
    for cgroup in [
        format!(
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/cri-containerd-{id}.scope\n"
        ),
        format!("0::/../../kubepods-pod{under}.slice/crio-{id}.scope\n"),
        format!("12:pids:/kubepods/besteffort/pod{uid}/{id}\n11:cpu:/kubepods/besteffort/pod{uid}/{id}\n"),
    ] {
        assert_eq!(owner(&cgroup), ProcessOwner { uid: uid.into(), container: id.as_str().into() }, "{cgroup}");
    }
    assert_eq!(owner("0::/system.slice/tripod.service\n"), ProcessOwner::default());
    assert_eq!(owner(""), ProcessOwner::default());
}

const FIB_TRIE: &str = "Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 192.168.91.33
        /32 host LOCAL
     |-- 169.254.1.1
        /32 link UNICAST
Local:
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 127.255.255.255
        /32 link BROADCAST
     |-- 192.168.91.33
        /32 host LOCAL
";

#[test]
fn own_addresses_are_the_local_ones_of_both_families() {
    assert_eq!(local_addresses(FIB_TRIE).into_iter().collect::<Vec<_>>(), [addr("192.168.91.33")]);
    let six = "fd000065000000000000000000000001 02 80 00 80     eth0\n\
               fe80000000000000c0fbb2fffeaf4608 02 40 20 80     eth0\n\
               00000000000000000000000000000001 01 80 10 80       lo\nbanana\n";
    assert_eq!(six_addresses(six), [addr("fd00:65::1")]);
}

#[test]
fn routes_and_neighbours_as_the_kernel_writes_them() {
    let routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                  eth0\t00000000\t0101FEA9\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                  eth0\t0101FEA9\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n";
    let [default, gateway] = four_routes(routes).try_into().unwrap();
    assert_eq!((default.dst.to_string(), default.hops[0].gateway), ("0.0.0.0/0".to_owned(), Some(addr("169.254.1.1"))));
    assert_eq!((gateway.dst.to_string(), gateway.hops[0].gateway), ("169.254.1.1/32".to_owned(), None));
    let zero = "0".repeat(32);
    let six = format!(
        "{zero} 00 {zero} 00 fe80000000000000eceeeefffeeeeeee 00000400 00000001 00000000 00000003     eth0\n\
         {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n\
         ff{} 08 {zero} 00 {zero} 00000100 00000003 00000000 00000001     eth0\n",
        "0".repeat(30)
    );
    let [six] = six_routes(&six).try_into().unwrap();
    assert_eq!((six.dst.to_string(), six.metric, six.dev().unwrap().raw()), ("::/0".to_owned(), 1024, "eth0"));
    let arp = "IP address       HW type     Flags       HW address            Mask     Device\n\
               169.254.1.1      0x1         0x0         00:00:00:00:00:00     *        eth0\n\
               10.0.0.9         0x1         0x6         c2:fb:b2:af:46:08     *        eth0\n\
               10.0.0.8         0x1         0x2         c2:fb:b2:af:46:08     *        eth0\n";
    let [gateway, fixed, other] = super::arp(arp).try_into().unwrap();
    assert!(gateway.is_unanswered() && gateway.mac.is_none() && gateway.address == addr("169.254.1.1"));
    assert!(fixed.is_permanent() && fixed.mac == Some(0xc2fb_b2af_4608));
    assert!(!other.is_permanent() && !other.is_unanswered());
}

fn file(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn settings_that_are_not_there_are_unknown_and_one_that_cannot_be_read_makes_all_unread() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let proc = Proc::at(root);
    let names = [Foreign::from("cali1"), "../../etc".into()];
    let read = || proc.sysctls(names.iter());
    assert!(matches!(read(), Dump::NotRead(why) if why.raw().contains("ip_forward")), "nothing is mounted");
    file(root, "sys/net/ipv4/ip_forward", "1\n");
    file(root, "sys/net/ipv4/conf/all/proxy_arp", "0\n");
    file(root, "sys/net/ipv4/conf/cali1/proxy_arp", "1\n");
    file(root, "sys/net/ipv4/conf/cali1/rp_filter", "banana\n");
    file(root, "sys/net/ipv4/neigh/cali1/proxy_delay", "80\n");
    let Dump::Read(sysctls) = read() else { panic!("{:?}", read()) };
    let own = sysctls.dev(&names[0]);
    assert_eq!((sysctls.ip_forward, sysctls.all().proxy_arp, own.proxy_arp), (Some(1), Some(0), Some(1)));
    assert_eq!((own.proxy_delay, own.rp_filter, own.disable_ipv6), (Some(80), None, None));
    std::fs::remove_file(root.join("sys/net/ipv4/conf/cali1/rp_filter")).unwrap();
    std::fs::create_dir(root.join("sys/net/ipv4/conf/cali1/rp_filter")).unwrap();
    assert!(matches!(read(), Dump::NotRead(why) if why.raw().contains("cali1/rp_filter")));
}

#[test]
fn a_process_without_ipv6_has_the_rest_and_one_that_is_gone_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let proc = Proc::at(folder.path());
    file(folder.path(), "7/net/fib_trie", FIB_TRIE);
    file(folder.path(), "7/net/route", "Iface\n");
    assert_eq!(proc.addresses(7).unwrap(), [addr("192.168.91.33")]);
    assert_eq!(proc.routes(7).unwrap(), []);
    assert!(proc.neighbours(7).is_err() && proc.addresses(8).is_err());
    file(folder.path(), "self/net/route", "");
    assert_eq!(proc.processes().unwrap().into_iter().collect::<Vec<_>>(), [7]);
}
