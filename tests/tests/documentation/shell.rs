//! As much of the shell as the pages use: from the text of a block to the commands in it.

/// The commands of a script, each as its words, without what the shell does with them: redirections,
/// assignments, comments. What stands within `$(…)` is part of the word around it, and commands of its own.
pub(crate) fn commands(script: &str) -> Vec<Vec<String>> {
    let script = script.replace("\\\n", " ");
    let mut commands = Vec::new();
    let mut command = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = script.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '#') if word.is_none() => {
                while characters.next_if(|next| *next != '\n').is_some() {}
            }
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (Some(mark), _) if mark == character => quote = None,
            (None, '|' | '&' | ';' | '\n' | '(' | ')') => {
                command.extend(word.take());
                commands.push(std::mem::take(&mut command));
            }
            (None, ' ' | '\t') => command.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    command.extend(word);
    commands.push(command);
    let plain = commands.into_iter().map(|words| without_shell(&words));
    plain.filter(|words| !words.is_empty()).collect()
}

/// The words of the program itself: no prompt, no assignments and keywords in front, no redirections.
fn without_shell(words: &[String]) -> Vec<String> {
    const BEFORE: [&str; 9] = ["$", "sudo", "exec", "export", "if", "then", "do", "!", "time"];
    let is_before = |word: &&String| {
        BEFORE.contains(&word.as_str())
            || word.split_once('=').is_some_and(|(name, _)| is_name(name))
    };
    let mut words = words.iter().skip_while(is_before).peekable();
    if words.next_if(|word| *word == "-u").is_some() {
        words.next();
    }
    let is_arrow = |word: &str| word.starts_with(['<', '>']) || word.starts_with("2>");
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "<" | ">" | ">>" | "2>" => drop(words.next()),
            arrow if is_arrow(arrow) => {}
            _ => kept.push(word.clone()),
        }
    }
    kept
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[test]
fn a_script_is_taken_apart_as_the_shell_does() {
    let script = "A=1 sudo -u me coordinator run --once \\\n  --project 'a b' > log 2>&1 # why\n\
                  $ x=$(app show T | tail -n 1) && agent-runner ticket < job.json";
    let expected: [&[&str]; 4] = [
        &["coordinator", "run", "--once", "--project", "a b"],
        &["app", "show", "T"],
        &["tail", "-n", "1"],
        &["agent-runner", "ticket"],
    ];
    let found = commands(script);
    let found: Vec<_> = found.iter().filter(|words| words.len() > 1).collect();
    assert_eq!(found, expected);
}
