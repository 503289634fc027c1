//! Takes jobs back from claimers that went silent, for as long as the server runs.

use std::time::Instant;

use api_client::error_chain;
use tokio_util::sync::CancellationToken;

use crate::clock::Timestamp;
use crate::lease::Leases;
use crate::queue::Expiry;
use crate::review::Nudge;
use crate::store::{Expired, Store};

/// Whether the last look at the leases went well: a streak of failures is logged once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    Failing,
}

/// Looks at all leases at intervals until `stop`. A failed look is made again: expired leases do
/// not go away.
pub(crate) async fn sweep(store: Store, leases: Leases, nudge: Nudge, stop: CancellationToken) {
    let mut health = Health::Well;
    loop {
        match store.expire_leases(leases.clone(), (Instant::now(), Timestamp::now())).await {
            Ok(expired) => {
                health = Health::Well;
                expired.iter().for_each(log);
                expired.iter().for_each(|expired| nudge.look_at(expired.ticket));
            }
            Err(error) => {
                if health == Health::Well {
                    tracing::error!(error = %error_chain(&error), "cannot look at the leases");
                }
                health = Health::Failing;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(leases.terms.sweep_every()) => {}
        }
    }
}

fn log(expired: &Expired) {
    let effect = match expired.effect {
        Expiry::Requeue => "it waits again",
        Expiry::Fail => "failed after too many attempts",
        Expiry::Cancel => "cancelled, as was asked",
    };
    tracing::warn!(job.id = %expired.job, claim.id = %expired.claim, "lease expired: {effect}");
}
