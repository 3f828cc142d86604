// SPDX-License-Identifier: GPL-2.0-only

//! §6, its head: the directory and the files in it, whose they are and who may use them.

use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use crate::cases::vip::install;
use crate::cases::vip::rule;
use crate::cases::vip::Vip;
use crate::host::Host;
use anyhow::Context;
use anyhow::Result;
use harness::blob;
use harness::cluster::VIP;
use harness::holder::Holder;
use harness::host::program;
use harness::host::NEW;
use harness::module;
use harness::netns::vip_path;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::os::unix::fs::symlink;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

pub fn cases() -> Vec<Entry> {
    cases!["6" =>
        directory, directory_lists_files, directory_in_every_namespace, directory_takes_no_files, file_kind,
        file_names, file_in_its_namespace_only, file_owner_changed, file_mode_changed, file_of_another_user,
        file_owner_map_before, file_owner_map_after
    ]
}

/// Kind, mode, owner and size.
fn look(host: &Host, path: &Path) -> Result<String> {
    let seen = host.enter(|| fs::metadata(path))??;
    let kind = match (seen.is_file(), seen.is_dir()) {
        (true, _) => "file",
        (_, true) => "directory",
        _ => "neither",
    };
    let mode = seen.permissions().mode() & 0o7777;
    let size = seen.len();
    Ok(format!(
        "{kind} {mode:o} {}:{} size {size}",
        seen.uid(),
        seen.gid()
    ))
}

/// The directory's names, in their order; or that there is no directory.
pub fn list(host: &Host) -> Result<String> {
    let entries = host.enter(|| -> io::Result<Vec<_>> { fs::read_dir(vip_path(""))?.collect() })?;
    let Ok(entries) = entries else {
        return Ok("no directory".to_string());
    };
    let mut names: Vec<_> = entries
        .iter()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(if names.is_empty() {
        "empty".to_string()
    } else {
        names.join(" ")
    })
}

fn directory(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    case.saw("without rules", look(&host, &vip_path(""))?);
    case.saw("names", list(&host)?);
    install(&host, &rule(2, &[1]))??;
    case.saw("with a rule", look(&host, &vip_path(""))?);
    host.flush()?;
    case.saw("after it", list(&host)?);
    Ok(())
}

fn directory_lists_files(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    let mut rules = [rule(2, &[1]), rule(2, &[1]), rule(2, &[1])];
    rules[1].destination = Ipv4Addr::new(192, 0, 2, 255);
    host.enter(|| blob::replace(&blob::socket()?, "filter", &rules))??;
    case.saw("names", list(&host)?);
    host.enter(|| blob::replace(&blob::socket()?, "filter", &rules[1..2]))??;
    case.saw("one left", list(&host)?);
    Ok(())
}

/// In those that are older than the module, and in those that are not.
fn directory_in_every_namespace(case: &mut Case) -> Result<()> {
    let old = case.host_named("old")?;
    module::unload()?;
    case.saw("unloaded, old", list(&old)?);
    let new = case.host_named("new")?;
    case.saw("loaded, old", list(&old)?);
    case.saw("loaded, new", list(&new)?);
    let first = Path::new("/proc/net/ipt_CLUSTERIP");
    case.saw("loaded, the first", first.is_dir());
    module::unload()?;
    case.saw("unloaded again, old", list(&old)?);
    case.saw("unloaded again, new", list(&new)?);
    case.saw("unloaded again, the first", first.is_dir());
    Ok(())
}

/// Nobody but the module makes or removes names there.
fn directory_takes_no_files(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 2, &[1])?;
    let (file, other) = (vip_path(VIP), vip_path("10.9.0.101"));
    let mut results = Vec::new();
    vip.host.enter(|| {
        results.push(("create", fs::File::create(&other).map(drop)));
        results.push(("mkdir", fs::create_dir(&other)));
        results.push(("symlink", symlink("x", &other)));
        results.push(("link", fs::hard_link(&file, &other)));
        results.push(("rename", fs::rename(&file, &other)));
        results.push(("unlink", fs::remove_file(&file)));
        results.push(("rmdir", fs::remove_dir(vip_path(""))));
        results.push(("exclusive", fs::File::create_new(&file).map(drop)));
    })?;
    for (key, result) in &results {
        case.errno(key, result);
    }
    case.saw("names", list(&vip.host)?);
    Ok(())
}

fn file_kind(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 2, &[1])?;
    case.saw("file", look(&vip.host, &vip_path(VIP))?);
    case.saw("links", vip.file.metadata()?.nlink());
    Ok(())
}

fn file_names(case: &mut Case) -> Result<()> {
    let host = case.host()?;
    for address in [
        "10.9.0.100",
        "1.2.3.4",
        "0.0.0.1",
        "192.168.100.200",
        "255.255.255.255",
    ] {
        let mut rule = rule(2, &[1]);
        rule.destination = address.parse()?;
        let result = install(&host, &rule)?;
        case.errno(&format!("{address}: rule"), &result);
        case.saw(&format!("{address}: names"), list(&host)?);
    }
    Ok(())
}

fn file_in_its_namespace_only(case: &mut Case) -> Result<()> {
    let (one, two) = (case.host_named("one")?, case.host_named("two")?);
    install(&one, &rule(2, &[1]))??;
    case.saw("one", list(&one)?);
    case.saw("the other", list(&two)?);
    install(&two, &rule(2, &[2]))??;
    one.tell(VIP, "+2")?;
    case.saw("nodes of one", one.nodes(VIP)?);
    case.saw("nodes of the other", two.nodes(VIP)?);
    one.flush()?;
    case.saw("one flushed", list(&one)?);
    case.saw("the other then", list(&two)?);
    Ok(())
}

/// Looks now, after another change of the table, and at the file that comes next.
fn stays(case: &mut Case, vip: &Vip) -> Result<()> {
    let path = vip_path(VIP);
    case.saw("changed", look(&vip.host, &path)?);
    vip.host.iptables("-A INPUT -d 192.0.2.7 -j ACCEPT")?;
    case.saw("another rule", look(&vip.host, &path)?);
    vip.host.tell(VIP, "+2")?;
    case.saw("written", look(&vip.host, &path)?);
    vip.flush()?;
    install(&vip.host, &rule(2, &[1]))??;
    case.saw("made anew", look(&vip.host, &path)?);
    Ok(())
}

fn file_owner_changed(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 2, &[1])?;
    let result = vip.host.enter(|| chown(vip_path(VIP), Some(7), Some(9)))?;
    case.errno("chown", &result);
    stays(case, &vip)
}

fn file_mode_changed(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 2, &[1])?;
    let mode = fs::Permissions::from_mode(0o640);
    let result = vip
        .host
        .enter(|| fs::set_permissions(vip_path(VIP), mode))?;
    case.errno("chmod", &result);
    stays(case, &vip)
}

/// Somebody who is not root: before and after the file is given to him.
fn file_of_another_user(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 2, &[1])?;
    let script = format!("cat {0}; echo +2 >{0}", vip_path(VIP).display());
    let line = "setpriv --reuid 7 --regid 7 --clear-groups dash";
    let mut attempt = |key: &str| -> Result<()> {
        let output = vip.host.output(line, &script)?;
        let said = [output.stdout, output.stderr].concat();
        case.saw(key, String::from_utf8_lossy(&said));
        case.saw(&format!("{key}: nodes"), vip.nodes()?);
        Ok(())
    };
    attempt("root's")?;
    vip.host.enter(|| chown(vip_path(VIP), Some(7), None))??;
    attempt("his own")
}

/// What root of a user namespace makes of the file, each line in a shell that a failure does not end.
fn owner(case: &mut Case, flags: &str, enter: &[&str]) -> Result<()> {
    program("modprobe -a ipt_CLUSTERIP iptable_filter veth")?;
    case.ctx.log()?;
    let holder = Holder::new(flags)?;
    let process = holder.id().to_string();
    let file = format!("/proc/net/ipt_CLUSTERIP/{VIP}");
    // The rule's memory is gone before the namespace: see `Host`.
    let script = format!(
        "ip link add eth0 type veth peer name eth1\n\
         iptables-legacy -A INPUT -d {VIP} -i eth0 {NEW}\n\
         stat -c %u:%g:%a /proc/net/ipt_CLUSTERIP\nstat -c %u:%g:%a {file}\n\
         cat {file}\n(echo +2 >{file})\ncat {file}\n\
         chown 7:9 {file}\nchmod 644 {file}\nstat -c %u:%g:%a {file}\n\
         iptables-legacy -F\nip link del eth0\nsleep 0.3\n"
    );
    let output = Command::new("nsenter")
        .args(["-t", &process, "-S", "0", "-G", "0"])
        .args(enter)
        .args(["dash", "-c", &script])
        .env("XTABLES_LOCKFILE", format!("/tmp/xtables.{process}"))
        .output()
        .context("nsenter")?;
    let said = String::from_utf8_lossy(&output.stdout);
    case.saw("said", said.trim_end().replace('\n', " | "));
    let errors = String::from_utf8_lossy(&output.stderr);
    case.saw("errors", errors.trim_end().replace('\n', " | "));
    case.log("log")
}

fn file_owner_map_before(case: &mut Case) -> Result<()> {
    owner(case, "-U", &["-U", "--", "unshare", "-n", "--"])
}

fn file_owner_map_after(case: &mut Case) -> Result<()> {
    owner(case, "-Un", &["-U", "-n", "--"])
}
