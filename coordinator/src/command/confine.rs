//! `confine`: become an agent on this host.

use api_client::error_chain;

use super::{Failure, complain};
use crate::cli::ConfineArguments;
use crate::confine::{self, Confine, Ids, NOT_CONFINED};

/// Comes back only to say why no agent was begun.
pub(crate) fn confine(arguments: ConfineArguments) -> Failure {
    let ConfineArguments { temporary, seen, uid, gid, group, files, processes, command } =
        arguments;
    let user = uid.zip(gid).map(|(uid, gid)| Ids { uid, gid, groups: group });
    let order = Confine { temporary, seen, user, files, processes, command };
    let error = confine::confine(&order, complain);
    Failure { code: NOT_CONFINED, message: error_chain(&error) }
}
