// SPDX-License-Identifier: GPL-2.0-only

//! §1.1, the target's payload and what a dump gives back of it; §1.2, its constants; §1.3, the name,
//! family and revision that it goes by.

use super::tables::joined;
use super::tables::key;
use super::tables::listed;
use super::tables::offer;
use super::tables::one;
use super::tables::state;
use super::tables::usual;
use super::tables::with;
use super::tables::Tables;
use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::blob::Payload;
use harness::blob::Rule;
use harness::cluster::VIP;
use harness::cluster::VIP_ADDRESS;

pub fn cases() -> Vec<Entry> {
    cases![
        "1.1" => payload_size, payload_of_odd_size, dump_gives_back_what_was_given,
            dump_gives_back_padding_and_spare_nodes, dump_gives_back_what_is_not_in_force,
            dump_hides_config, config_is_not_read, dump_can_be_given_again, dump_record,
            flags_bits, local_nodes_beyond_their_count, field_mac, field_total, field_num_local,
            field_local_nodes, command_line_sends;
        "1.2" => modes, sixteen_nodes, flag_new;
        "1.3" => revisions, revision_in_a_rule, family;
    ]
}

/// x_tables itself looks at it, and says so.
fn payload_size(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for size in [0, 48, 56, 64, 72] {
        let mut rule = usual();
        rule.payload.resize(size, 0);
        let result = tables.set(&[rule]);
        case.errno(&key(&size.to_string(), "errno"), &result);
        let lines = case.ctx.kernel_log()?;
        let said = lines.iter().find(|line| line.contains("x_tables"));
        case.saw(
            &key(&size.to_string(), "log"),
            said.map_or("nothing", String::as_str),
        );
    }
    Ok(())
}

/// That of a 32-bit program; it leaves the next entry where none may start.
fn payload_of_odd_size(case: &mut Case) -> Result<()> {
    let mut rule = usual();
    rule.payload.truncate(60);
    one(case, &rule)
}

/// All fields hold something that no command line would send.
fn full() -> Payload {
    let mut payload = Payload::default().nodes(3, &[3, 1, 3]);
    payload.flags = 0xffff_ffff;
    payload.mac = [0x0b, 0x16, 0x21, 0x2c, 0x37, 0x42];
    payload.mode = 2;
    payload.seed = 0x8123_4567;
    payload
}

/// A payload's bytes from userspace, and the kernel's own word.
fn shown(payload: &[u8]) -> (String, String) {
    let hex = |bytes: &[u8]| -> String {
        let words: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        words.concat()
    };
    let at = payload.len().min(56);
    (hex(&payload[..at]), hex(&payload[at..]))
}

/// Takes the rules and says what comes back of each, and whether that is as it was given.
fn give_and_dump(case: &mut Case, rules: &[Rule]) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(rules)?;
    let dump = tables.dump("filter")?;
    for (number, rule) in rules.iter().enumerate() {
        let target = dump.get(number).context("a rule did not come back")?;
        let (bytes, word) = shown(&target[32..]);
        let same = target[32..88] == rule.payload[..56];
        let about = format!("rule {}", number + 1);
        case.saw(&key(&about, "bytes"), bytes);
        case.saw(&key(&about, "as given"), same);
        case.saw(&key(&about, "config"), word);
    }
    Ok(())
}

fn dump_gives_back_what_was_given(case: &mut Case) -> Result<()> {
    give_and_dump(case, &[Rule::new(VIP_ADDRESS, "eth0", &full())])
}

fn dump_gives_back_padding_and_spare_nodes(case: &mut Case) -> Result<()> {
    let mut rule = Rule::new(VIP_ADDRESS, "eth0", &full());
    rule.payload[20..48].copy_from_slice(&[0xa5; 28]);
    give_and_dump(case, &[rule])
}

fn dump_gives_back_what_is_not_in_force(case: &mut Case) -> Result<()> {
    let mut second = Payload::default().nodes(16, &[16, 15]);
    second.mac = full().mac;
    second.mode = 1;
    let rules = [full(), second].map(|payload| Rule::new(VIP_ADDRESS, "eth0", &payload));
    give_and_dump(case, &rules)
}

fn dump_hides_config(case: &mut Case) -> Result<()> {
    let rule = with(|payload| payload.config = 0xdead_beef_dead_beef);
    give_and_dump(case, &[rule])
}

/// What userspace sends in its place is neither looked at nor kept.
fn config_is_not_read(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for config in [0, 1, 0xdead_beef_dead_beef, u64::MAX] {
        let rule = with(|payload| payload.config = config);
        offer(case, &tables, &format!("{config:#x}"), &rule)?;
    }
    state(case, &tables.host, "", [0, 0])
}

/// As iptables does with each change: what was dumped comes back in the new table.
fn dump_can_be_given_again(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[Rule::new(VIP_ADDRESS, "eth0", &full())])?;
    for round in 1..=3 {
        let mut rule = usual();
        rule.payload = tables.dump("filter")?[0][32..].to_vec();
        let result = tables.set(&[rule]);
        case.errno(&format!("round {round}"), &result);
    }
    case.log("log")?;
    state(case, &tables.host, "", [0, 0])
}

/// The record around the payload: its size, name and revision.
fn dump_record(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[usual()])?;
    let dump = tables.dump("filter")?;
    let record = dump.first().context("no rule came back")?;
    case.saw("bytes", record.len());
    case.saw("size", u16::from_ne_bytes([record[0], record[1]]));
    case.saw(
        "name",
        String::from_utf8_lossy(&record[2..31]).trim_end_matches('\0'),
    );
    case.saw("revision", record[31]);
    Ok(())
}

fn flags_bits(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for bit in [0, 1, 2, 16, 31] {
        let rule = with(|payload| payload.flags = 1 << bit);
        offer(case, &tables, &format!("bit {bit}"), &rule)?;
    }
    Ok(())
}

fn local_nodes_beyond_their_count(case: &mut Case) -> Result<()> {
    one(case, &with(|payload| payload.local[1..].fill(0xffff)))
}

/// Six bytes in the order of the wire.
fn field_mac(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[Rule::new(VIP_ADDRESS, "eth0", &full())])?;
    let host = &tables.host;
    case.saw("in order", joined(host, "eth0", "0b:16:21:2c:37:42", 1)?);
    case.saw("reversed", joined(host, "eth0", "42:37:2c:21:16:0b", 0)?);
    Ok(())
}

/// In the machine's order of bytes: the file takes nodes up to it.
fn field_total(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.set(&[with(|payload| payload.total = 3)])?;
    for command in ["+3", "+4"] {
        case.errno(command, &tables.tell(command));
    }
    Ok(())
}

fn field_num_local(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for count in [0, 1, 3, 16] {
        let mut payload = Payload::default().nodes(16, &[16, 15, 14, 13, 12, 11, 10, 9, 8]);
        payload.local[9..].fill(1);
        payload.num_local = count;
        let rule = Rule::new(VIP_ADDRESS, "eth0", &payload);
        offer(case, &tables, &count.to_string(), &rule)?;
    }
    Ok(())
}

fn field_local_nodes(case: &mut Case) -> Result<()> {
    let payload = Payload::default().nodes(16, &[9, 1, 16, 2]);
    one(case, &Rule::new(VIP_ADDRESS, "eth0", &payload))
}

/// The extension's bytes of a rule with all options, and of one with none.
fn command_line_sends(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    tables.host.iptables(&format!(
        "-A INPUT -d {VIP} -i eth0 -j CLUSTERIP --new --hashmode sourceip-sourceport \
         --clustermac 0b:16:21:2c:37:42 --total-nodes 16 --local-node 11 --hash-init 0x81234567"
    ))?;
    let dump = tables.dump("filter")?;
    let (bytes, word) = shown(&dump.first().context("no rule came back")?[32..]);
    case.saw("bytes", bytes);
    case.saw("config", word);
    listed(case, &tables.host, "shown by -S", "filter")?;
    Ok(())
}

fn modes(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for mode in 0..=3 {
        let rule = with(|payload| payload.mode = mode);
        offer(case, &tables, &mode.to_string(), &rule)?;
    }
    Ok(())
}

fn sixteen_nodes(case: &mut Case) -> Result<()> {
    let all: Vec<u16> = (1..=16).collect();
    let payload = Payload::default().nodes(16, &all);
    one(case, &Rule::new(VIP_ADDRESS, "eth0", &payload))
}

fn flag_new(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for flags in [0, 1] {
        let rule = with(|payload| payload.flags = flags);
        offer(case, &tables, &flags.to_string(), &rule)?;
    }
    Ok(())
}

/// As iptables asks before it sends a rule.
fn revisions(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    for revision in [0, 1, 255] {
        let result = blob::revision(&tables.socket, "CLUSTERIP", revision);
        case.errno(&revision.to_string(), &result);
    }
    Ok(())
}

fn revision_in_a_rule(case: &mut Case) -> Result<()> {
    let mut rule = usual();
    rule.revision = 1;
    one(case, &rule)
}

/// The target is there for IPv4 alone; REJECT shows that IPv6 has others.
fn family(case: &mut Case) -> Result<()> {
    let tables = Tables::new(case)?;
    harness::host::program("modprobe -a ip6_tables ip6t_REJECT")?;
    for target in ["CLUSTERIP", "REJECT"] {
        let result = tables.host.enter(|| blob::revision6(target, 0))?;
        case.errno(&format!("IPv6 {target}"), &result);
    }
    case.log("log")
}
