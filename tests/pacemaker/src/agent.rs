// SPDX-License-Identifier: GPL-2.0-only

//! Our own agent asked by hand, on one machine with no cluster: what each call returns, and what is
//! there afterwards. `ip` and `iptables-legacy` are called through a script that looks, after each
//! call, whether the address is there without a rule.

use crate::bed::VIP;
use crate::report::Report;
use crate::traces;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::Netns;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::process::Output;

const AGENT: &str = "/usr/lib/ocf/resource.d/clusterip/ClusterIP";
/// Where the calls of programs are written down.
const CALLS: &str = "/tmp/agent-calls";
const NAKED: &str = "an address without a rule";

const OK: i32 = 0;
const GENERIC: i32 = 1;
const UNIMPLEMENTED: i32 = 3;
const INSTALLED: i32 = 5;
const CONFIGURED: i32 = 6;
const NOT_RUNNING: i32 = 7;

type Test = fn(&Host) -> Result<String>;

#[derive(clap::Args)]
pub struct Arguments {
    /// Where our agent is; it is installed first.
    #[arg(long, default_value = "/opt/clusterip/ClusterIP")]
    file: String,
}

/// Puts our agent where Pacemaker looks for it.
pub fn install(file: &str) -> Result<()> {
    fs::create_dir_all("/usr/lib/ocf/resource.d/clusterip")?;
    fs::copy(file, AGENT).context(file.to_string())?;
    fs::set_permissions(AGENT, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

pub fn run(arguments: &Arguments) -> Report {
    let mut report = Report::new();
    let tests: [(&str, Test); 8] = [
        ("ocf-tester", tester),
        ("numbers come and go", numbers),
        ("every action can be repeated", repeated),
        ("an address that is taken away by hand", by_hand),
        ("a stop that was cut short", cut_short),
        ("an interface that is down or gone", interface),
        ("configurations that make no sense", nonsense),
        ("what is missing", missing),
    ];
    if let Err(error) =
        harness::module::load("ipt_CLUSTERIP").and_then(|()| install(&arguments.file))
    {
        report.test("the agent's place", Err(error));
        return report;
    }
    for (name, test) in tests {
        let host = Host::new();
        let seen = host.and_then(|host| {
            let seen = test(&host)?;
            host.expect_nothing_left()?;
            Ok(seen)
        });
        report.test(&format!("agent, {name}"), seen);
    }
    report
}

struct Host {
    ns: Netns,
    mac: String,
}

impl Host {
    fn new() -> Result<Self> {
        let ns = Netns::new("host")?;
        ns.ip(
            "link add eth0 type veth peer name wire\nlink set wire up\nlink set lo up\n\
             link set eth0 up\naddress add 10.9.0.1/24 dev eth0\n",
        )?;
        for program in ["ip", "iptables-legacy"] {
            let path = format!("/tmp/agent-{program}");
            fs::write(&path, format!(
                "#!/bin/sh\n{program} \"$@\"\nrc=$?\necho \"{program} $*: $rc\" >>{CALLS}\n\
                 if ip -4 -o addr show | grep -qF ' inet {VIP}/' && [ ! -e /proc/net/ipt_CLUSTERIP/{VIP} ]; then\n\
                 echo '{NAKED}' >>{CALLS}\nfi\nexit $rc\n"
            ))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        fs::write(CALLS, "")?;
        Ok(Self {
            ns,
            mac: traces::text(traces::cluster_mac(VIP, 24)?),
        })
    }

    /// One call for an instance of a clone of three; `more` is for the environment.
    fn output(&self, action: &str, number: usize, more: &[(&str, &str)]) -> Result<Output> {
        let mut command = Command::new(AGENT);
        command
            .arg(action)
            .env("OCF_ROOT", "/usr/lib/ocf")
            .env("OCF_RESOURCE_INSTANCE", format!("resIP:{}", number - 1))
            .env("OCF_RESKEY_ip", VIP)
            .env("OCF_RESKEY_nic", "eth0")
            .env("OCF_RESKEY_cidr_netmask", "24")
            .env("OCF_RESKEY_CRM_meta_clone", (number - 1).to_string())
            .env("OCF_RESKEY_CRM_meta_clone_max", "3")
            .env("OCF_RESKEY_CRM_meta_globally_unique", "true")
            .env("OCF_RESKEY_CRM_meta_interval", "10000")
            .env("IP2UTIL", "/tmp/agent-ip")
            .env("IPTABLES_LEGACY", "/tmp/agent-iptables-legacy")
            .envs(more.iter().copied());
        self.ns
            .enter(|| command.output())?
            .context("running the agent")
    }

    fn call(&self, action: &str, number: usize, wanted: i32) -> Result<()> {
        self.call_with(action, number, &[], wanted).map(drop)
    }

    /// What it said, when it returned what it must.
    fn call_with(
        &self,
        action: &str,
        number: usize,
        more: &[(&str, &str)],
        wanted: i32,
    ) -> Result<String> {
        let output = self.output(action, number, more)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(wanted),
            "{action} of number {number} with {more:?} should return {wanted}: {}, {said}",
            output.status
        );
        Ok(said)
    }

    /// The file's text, and one rule, membership and address; or nothing of it all.
    fn expect(&self, file: Option<&str>) -> Result<()> {
        let one = usize::from(file.is_some());
        let seen = self.ns.has_vip(VIP)?.then(|| self.ns.nodes(VIP));
        let seen = seen.transpose()?;
        ensure!(seen.as_deref() == file, "{file:?} became {seen:?}");
        let rules = self.ns.run("iptables-legacy -w -S INPUT")?;
        let rules = rules.matches("CLUSTERIP").count();
        ensure!(rules == one, "there are {rules} rules");
        let addresses = self.ns.run("ip -o -4 address show")?;
        let addresses = addresses.matches(&format!(" {VIP}/24 ")).count();
        ensure!(addresses == one, "there are {addresses} addresses");
        self.ns.expect_memberships("eth0", &self.mac, one as u32)
    }

    /// Also asks whether the address was ever there without a rule.
    fn expect_nothing_left(&self) -> Result<()> {
        self.expect(None)?;
        let calls = fs::read_to_string(CALLS)?;
        ensure!(
            calls.contains("iptables-legacy"),
            "no call was seen: {calls}"
        );
        ensure!(!calls.contains(NAKED), "{calls}");
        Ok(())
    }
}

/// The resource agents' own test of agents.
fn tester(host: &Host) -> Result<String> {
    let line = format!(
        "ocf-tester -n resIP -o ip={VIP} -o nic=eth0 -o cidr_netmask=24 \
         -o clusterip_hash=sourceip-sourceport {AGENT}"
    );
    // Its calls are not the script's.
    host.ns.run("/tmp/agent-iptables-legacy -w -S INPUT")?;
    let said = host.ns.run(&line)?;
    ensure!(
        said.contains("passed all tests") && !said.contains("* rc="),
        "{said}"
    );
    Ok("passed all tests".to_string())
}

fn numbers(host: &Host) -> Result<String> {
    host.call("validate-all", 1, OK)?;
    for number in 1..=3 {
        host.call("monitor", number, NOT_RUNNING)?;
    }
    host.call("start", 2, OK)?;
    host.expect(Some("2"))?;
    host.call("monitor", 2, OK)?;
    host.call("monitor", 1, NOT_RUNNING)?;
    host.call_with(
        "monitor",
        3,
        &[("OCF_RESKEY_CRM_meta_interval", "0")],
        NOT_RUNNING,
    )?;
    host.call("start", 3, OK)?;
    host.call("start", 1, OK)?;
    host.expect(Some("1,2,3"))?;
    host.call("stop", 2, OK)?;
    host.expect(Some("1,3"))?;
    host.call("monitor", 2, NOT_RUNNING)?;
    host.call("monitor", 3, OK)?;
    host.call("stop", 3, OK)?;
    host.call("stop", 1, OK)?;
    Ok("7 for a number that others have, one rule for all of them".to_string())
}

fn repeated(host: &Host) -> Result<String> {
    for _ in 0..3 {
        host.call("start", 1, OK)?;
        host.call("start", 2, OK)?;
        host.expect(Some("1,2"))?;
    }
    for _ in 0..3 {
        host.call("stop", 2, OK)?;
        host.call("stop", 3, OK)?;
        host.expect(Some("1"))?;
    }
    for _ in 0..3 {
        host.call("stop", 1, OK)?;
        host.expect(None)?;
    }
    Ok("three times each, nothing doubled".to_string())
}

/// What made IPaddr2 add one more rule each time.
fn by_hand(host: &Host) -> Result<String> {
    host.call("start", 1, OK)?;
    for _ in 0..3 {
        host.ns.ip(&format!("address del {VIP}/24 dev eth0\n"))?;
        let said = host.call_with("monitor", 1, &[], GENERIC)?;
        ensure!(said.contains("is not on eth0"), "{said}");
        host.call("start", 1, OK)?;
        host.expect(Some("1"))?;
    }
    host.ns.ip(&format!("address del {VIP}/24 dev eth0\n"))?;
    host.call("stop", 1, OK)?;
    // Rules that IPaddr2 left, one of them of another number, go with ours.
    host.call("start", 1, OK)?;
    host.ns.iptables(&format!(
        "-I INPUT -d {VIP} -i eth0 -j CLUSTERIP --new --clustermac {} --total-nodes 3 \
         --local-node 2 --hashmode sourceip-sourceport",
        host.mac
    ))?;
    host.call("stop", 1, OK)?;
    Ok("one rule, whatever happens to the address".to_string())
}

/// Killed between giving up the last number and the rest, or before the address was there.
fn cut_short(host: &Host) -> Result<String> {
    host.call("start", 1, OK)?;
    host.ns.tell(VIP, "-1\n")?;
    host.call("monitor", 1, NOT_RUNNING)?;
    host.call("stop", 1, OK)?;
    host.expect(None)?;
    host.call("start", 1, OK)?;
    host.ns.tell(VIP, "-1\n")?;
    host.ns.ip(&format!("address del {VIP}/24 dev eth0\n"))?;
    host.call("start", 2, OK)?;
    host.expect(Some("2"))?;
    host.call("stop", 2, OK)?;
    Ok("stop ends it, start mends it".to_string())
}

fn interface(host: &Host) -> Result<String> {
    host.call("start", 1, OK)?;
    host.ns.ip("link set eth0 down\n")?;
    let said = host.call_with("monitor", 1, &[], GENERIC)?;
    ensure!(said.contains("eth0 is down"), "{said}");
    host.call("stop", 1, OK)?;
    host.expect(None)?;
    host.ns.ip("link set eth0 up\n")?;
    host.call("start", 1, OK)?;
    host.ns.ip("link del eth0\n")?;
    host.call("stop", 1, OK)?;
    host.call_with(
        "monitor",
        1,
        &[("OCF_RESKEY_CRM_meta_interval", "0")],
        NOT_RUNNING,
    )?;
    host.call("start", 1, GENERIC)?;
    Ok("monitor tells, stop stops".to_string())
}

fn nonsense(host: &Host) -> Result<String> {
    for (name, value, words) in [
        ("OCF_RESKEY_ip", "", "is no IPv4 address"),
        ("OCF_RESKEY_ip", "10.9.0", "is no IPv4 address"),
        ("OCF_RESKEY_ip", "fe80::1", "is no IPv4 address"),
        ("OCF_RESKEY_clusterip_hash", "destip", "is no hash mode"),
        ("OCF_RESKEY_mac", "02:00:00:00:00:01", "is no multicast MAC"),
        ("OCF_RESKEY_hash_init", "x", "is no number"),
        ("OCF_RESKEY_iflabel", "much-too-long", "longer than 15"),
        (
            "OCF_RESKEY_CRM_meta_globally_unique",
            "false",
            "globally-unique=true",
        ),
        ("OCF_RESKEY_CRM_meta_clone", "3", "clone-max=3"),
    ] {
        for action in ["validate-all", "start"] {
            let said = host.call_with(action, 1, &[(name, value)], CONFIGURED)?;
            ensure!(said.contains(words), "{name}={value}: {said}");
        }
    }
    host.call("promote", 1, UNIMPLEMENTED)?;
    // What is refused by the kernel is told.
    let said = host.call_with(
        "start",
        1,
        &[("OCF_RESKEY_CRM_meta_clone_max", "17")],
        GENERIC,
    )?;
    ensure!(said.contains("total-nodes"), "{said}");
    Ok("6, and a sentence for each".to_string())
}

fn missing(host: &Host) -> Result<String> {
    let nowhere = [("IPTABLES_LEGACY", "no-such"), ("IPTABLES", "no-such")];
    let said = host.call_with("start", 1, &nowhere, INSTALLED)?;
    ensure!(said.contains("no program no-such"), "{said}");
    host.call("start", 1, OK)?;
    host.call("stop", 1, OK)?;
    Ok("5, and which program it is".to_string())
}
