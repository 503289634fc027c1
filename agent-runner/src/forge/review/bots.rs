//! Which accounts are those of programs. Pure.

use super::AccountKind;

/// Whose an account of this login is. GitHub ends such logins with `[bot]`; GitLab begins those of its access
/// tokens with the project or the group and `_bot`.
pub(crate) fn account_kind(login: &str) -> AccountKind {
    let of_token = |prefix: &str| {
        let number = login.strip_prefix(prefix).and_then(|rest| rest.split_once("_bot"));
        number.is_some_and(|(number, rest)| {
            is_number(number) && (rest.is_empty() || rest.starts_with('_') || is_number(rest))
        })
    };
    match login.ends_with("[bot]") || of_token("project_") || of_token("group_") {
        true => AccountKind::Bot,
        false => AccountKind::Person,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_their_logins() {
        for login in ["dependabot[bot]", "project_12_bot", "group_7_bot_0a1b", "project_3_bot2"] {
            assert_eq!(account_kind(login), AccountKind::Bot, "{login}");
        }
        for login in ["abbot", "project_bot", "project_x_bot", "bot", "", "project_1_bottle"] {
            assert_eq!(account_kind(login), AccountKind::Person, "{login}");
        }
    }
}
