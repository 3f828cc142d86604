// SPDX-License-Identifier: GPL-2.0-only

//! §6.1 and §6.2: a VIP's file as shells and their tools see it.

use crate::case::Case;
use crate::case::Entry;
use crate::cases;
use crate::cases::vip::Vip;
use anyhow::Result;
use harness::cluster::VIP;
use harness::netns::vip_path;

pub fn cases() -> Vec<Entry> {
    cases![
        "6.1" => read_by_programs, read_by_shells;
        "6.2" => write_shell, write_shell_tools
    ]
}

/// What a script says of the file.
fn script(case: &mut Case, vip: &Vip, key: &str, shell: &str, script: &str) -> Result<()> {
    let script = script.replace("FILE", &vip_path(VIP).to_string_lossy());
    let output = vip.host.output(shell, &script)?;
    let said = [output.stdout, output.stderr].concat();
    case.saw(key, String::from_utf8_lossy(&said));
    Ok(())
}

fn read_by_programs(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 16, &[3, 5, 11])?;
    for (key, line) in [
        ("cat", "cat FILE"),
        ("grep", "grep -c 5 FILE"),
        ("head", "head -c 3 FILE"),
        ("tail", "tail -n 1 FILE"),
        ("wc", "wc -c <FILE"),
        ("dd", "dd if=FILE status=none"),
        ("dd bs=1", "dd if=FILE bs=1 count=100 status=none"),
        ("dd skip=2", "dd if=FILE bs=1 skip=2 count=100 status=none"),
        ("cp", "cp FILE /tmp/copy && cat /tmp/copy && rm /tmp/copy"),
    ] {
        script(case, &vip, key, "dash", line)?;
    }
    Ok(())
}

fn read_by_shells(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 16, &[3, 5, 11])?;
    for shell in ["dash", "bash"] {
        script(case, &vip, shell, shell, "read x <FILE; echo \"$x\"")?;
    }
    Ok(())
}

/// A script of a shell, in the VIP's namespace: its exit status and what it said.
fn shell(case: &mut Case, vip: &Vip, key: &str, shell: &str, script: &str) -> Result<()> {
    let file = vip_path(VIP);
    let script = script.replace("FILE", &file.to_string_lossy());
    let output = vip.host.output(shell, &script)?;
    let said = [output.stdout, output.stderr].concat();
    let status = output.status.code().unwrap_or(-1);
    case.saw(
        key,
        format!(
            "{status} {:?}; {}",
            String::from_utf8_lossy(&said),
            vip.nodes()?
        ),
    );
    Ok(())
}

fn write_shell(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 3, &[1])?;
    for name in ["dash", "bash"] {
        for (key, script) in [
            ("good", "echo +2 >FILE"),
            ("no such node", "echo +9 >FILE"),
            ("not there", "echo -3 >FILE"),
            ("no number", "echo +x >FILE"),
            ("no sign", "echo 2 >FILE"),
            ("too long", "echo +0000000003 >FILE"),
            ("appended", "echo -2 >>FILE"),
        ] {
            shell(case, &vip, &format!("{name}: {key}"), name, script)?;
        }
    }
    Ok(())
}

fn write_shell_tools(case: &mut Case) -> Result<()> {
    let vip = Vip::new(case, 4, &[1])?;
    for (key, script) in [
        ("two lines", "printf '+2\\n+3\\n' >FILE"),
        ("two echos", "{ echo +2; echo +3; } >FILE"),
        ("tee", "echo +4 | tee FILE"),
        ("tee, refused", "echo +4 | tee FILE"),
        ("dd", "printf -1 | dd of=FILE status=none"),
        ("dd, one by one", "printf -2 | dd of=FILE bs=1 status=none"),
        ("nothing", ": >FILE"),
        ("no newline", "printf -3 >FILE"),
    ] {
        shell(case, &vip, key, "dash", script)?;
    }
    Ok(())
}
