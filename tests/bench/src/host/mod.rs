// SPDX-License-Identifier: GPL-2.0-only

//! Reporting, on the host: from the guest's lines to a table, its goals, a file and a picture.

pub mod check;
pub mod figures;
pub mod goals;
pub mod page;
pub mod picture;
pub mod table;
