// SPDX-License-Identifier: GPL-2.0-only

//! An operation again and again: its first allocation fails, then its second, … until it is done
//! before it comes to the one that was to fail.

use crate::faults::Faults;
use crate::faults::Reach;
use crate::faults::Shortage;
use anyhow::anyhow;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use harness::Ctx;
use std::io;

/// Something that the module does for somebody.
pub trait Operation {
    /// Whose frames the allocations have.
    fn reach(&self) -> Reach {
        Reach::Module
    }

    /// Makes ready for an attempt, whatever the one before came to.
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    /// The operation itself: what it is refused with is what the one who asked for it is told.
    fn attempt(&mut self) -> io::Result<()>;

    /// It was refused, as it was to be: checks that this was said in the right way, and that all is
    /// as it was before.
    fn refused(&mut self, ctx: &mut Ctx, error: &io::Error) -> Result<()>;

    /// It succeeded: checks that nothing is missing.
    fn done(&mut self, ctx: &mut Ctx) -> Result<()>;

    /// Takes a success back, and checks that nothing is left of it.
    fn undo(&mut self, ctx: &mut Ctx) -> Result<()>;
}

/// What an operation came to.
#[derive(Default, Clone, Copy)]
pub struct Tally {
    /// How many allocations it makes when none fails.
    pub allocations: u32,
    /// How many failed, in all attempts together.
    pub injected: u32,
    /// How many attempts were refused.
    pub refused: u32,
    /// And how many succeeded all the same: the kernel can do without some allocations, those of its
    /// own debugging above all. What it did then was whole.
    pub survived: u32,
}

/// How much of it is tried.
#[derive(Clone, Copy)]
pub struct Pace {
    pub shortage: Shortage,
    /// At each how many allocations memory is short.
    pub step: u32,
    /// Where that begins.
    pub seed: u32,
    /// Each how many refusals the same is asked for again, with memory. What a refusal left behind is
    /// looked for after each.
    pub again: u32,
}

/// Tries an operation with each of its allocations failing; at a pace of more than one, with some.
pub fn sweep(
    ctx: &mut Ctx,
    faults: &Faults,
    pace: Pace,
    operation: &mut dyn Operation,
) -> Result<Tally> {
    let mut tally = Tally {
        allocations: succeed(ctx, faults, operation).context("with no allocation failing")?,
        ..Tally::default()
    };
    let mut nth = 1 + pace.seed % pace.step;
    while one(ctx, faults, operation, pace, nth, &mut tally)
        .with_context(|| format!("allocation {nth} of about {} fails", tally.allocations))?
    {
        nth += pace.step;
    }
    ensure!(
        tally.injected > 0,
        "no allocation was there to fail, so nothing was tried"
    );
    Ok(tally)
}

/// One attempt; `false` when it came to its end before the allocation that was to fail.
fn one(
    ctx: &mut Ctx,
    faults: &Faults,
    operation: &mut dyn Operation,
    pace: Pace,
    nth: u32,
    tally: &mut Tally,
) -> Result<bool> {
    operation.prepare()?;
    ctx.log()?;
    let outcome = faults.during(operation.reach(), nth, pace.shortage, || {
        operation.attempt()
    })?;
    let injected = outcome.injected > 0;
    tally.injected += outcome.injected;
    match outcome.value {
        Ok(()) => {
            tally.survived += u32::from(injected);
            operation.done(ctx).context("it succeeded")?;
            operation.undo(ctx).context("taken back")?;
        }
        Err(error) if !injected => {
            return Err(anyhow!(error).context("it was refused though nothing had failed"));
        }
        Err(error) => {
            tally.refused += 1;
            operation
                .refused(ctx, &error)
                .with_context(|| format!("it was refused: {error}"))?;
            if tally.refused % pace.again == 0 {
                succeed(ctx, faults, operation).context("the same again, with nothing failing")?;
            }
        }
    }
    Ok(injected)
}

/// The operation as it should be; how many allocations it makes.
fn succeed(ctx: &mut Ctx, faults: &Faults, operation: &mut dyn Operation) -> Result<u32> {
    operation.prepare()?;
    ctx.log()?;
    let (result, allocations) = faults.count(operation.reach(), || operation.attempt())?;
    result?;
    operation.done(ctx)?;
    operation.undo(ctx).context("taken back")?;
    Ok(allocations)
}
