// SPDX-License-Identifier: GPL-2.0-only

//! What is done with a VIP's file.

use super::step::FileStep;
use super::step::How;
use harness::netns::vip_path;
use harness::sys;
use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;

/// Does a step with a VIP's file, in the calling thread's namespace; what it gave.
pub fn by_name(vip: Ipv4Addr, step: &FileStep, held: &mut Option<File>) -> io::Result<String> {
    let path = vip_path(&vip.to_string());
    match step {
        FileStep::Write(text, how) => {
            let mut options = File::options();
            match how {
                How::Plain | How::At(_) => options.write(true),
                How::Append => options.append(true),
                How::Truncate => options.write(true).truncate(true),
                How::ReadWrite => options.read(true).write(true),
            };
            let mut file = options.open(path)?;
            let count = match how {
                How::At(at) => file.write_at(text, *at)?,
                _ => file.write(text)?,
            };
            Ok(format!("ok {count}"))
        }
        FileStep::WriteUnreadable(length) => {
            let file = File::options().write(true).open(path)?;
            let count = sys::write_unreadable(&file, *length)?;
            Ok(format!("ok {count}"))
        }
        FileStep::Read => text(&mut File::open(path)?),
        FileStep::Hold => {
            *held = None;
            *held = Some(File::options().read(true).write(true).open(path)?);
            Ok("ok".to_string())
        }
        FileStep::Mode(mode) => done(fs::set_permissions(path, Permissions::from_mode(*mode))),
        FileStep::Owner(owner) => done(chown(path, Some(*owner), None)),
        FileStep::Truncate => done(File::options().write(true).open(path)?.set_len(0)),
        FileStep::Remove => done(fs::remove_file(path)),
        FileStep::Create => done(File::create_new(path).map(drop)),
    }
}

/// Does a step with a file that was opened before, whatever became of its VIP.
pub fn by_descriptor(step: &FileStep, held: Option<&mut File>) -> io::Result<String> {
    let file = held.ok_or_else(|| io::Error::other("no open file"))?;
    match step {
        FileStep::Write(text, _) => Ok(format!("ok {}", file.write(text)?)),
        _ => text(file),
    }
}

fn done(result: io::Result<()>) -> io::Result<String> {
    result.map(|()| "ok".to_string())
}

/// All of a file, in one read: of reads in pieces the original gives wrong numbers (D3).
pub fn text(file: &mut File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = [0; 4096];
    let count = file.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}
