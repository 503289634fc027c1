//! `terarchitect-app settings …`

use std::io::Read;

use api_client::Secret;
use api_client::contract::is_secret_name;
use serde_json::{Map, Value};

use super::{Answer, CommandError};
use crate::cli::SettingsCommand;
use crate::output::table;
use crate::remote::Remote;

/// More than this (bytes) is not read from standard input; the server takes less.
const VALUE_MAX: u64 = 64 << 10;

pub(super) async fn run(command: SettingsCommand, app: &Remote) -> Result<Answer, CommandError> {
    let (json, text) = match command {
        SettingsCommand::Set { name, value } => {
            let value = value_of(&name, value)?;
            let body = Map::from_iter([(name.clone(), Value::from(value.expose()))]);
            let json = app.put("/api/settings", Value::Object(body)).await?;
            let text = format!("{name}: {}", shown(&json[&name]));
            (json, text)
        }
        SettingsCommand::Show => {
            let json = app.get("/api/settings").await?;
            let settings: Map<String, Value> = app.read(&json)?;
            let row = |(name, value): (String, Value)| [name, shown(&value)];
            let rows: Vec<_> = settings.into_iter().map(row).collect();
            (json, table(["SETTING", "VALUE"], &rows))
        }
    };
    Ok(Answer { json, text })
}

/// The value given, or that on standard input without the line end.
fn value_of(name: &str, value: String) -> Result<Secret, CommandError> {
    if value == "-" {
        let mut text = String::new();
        let mut stdin = std::io::stdin().lock().take(VALUE_MAX);
        stdin.read_to_string(&mut text).map_err(CommandError::Stdin)?;
        return Ok(Secret::from(text.trim_end_matches(['\r', '\n'])));
    }
    if is_secret_name(name) && !value.is_empty() {
        let name = name.to_owned();
        return Err(CommandError::SecretArgument { name });
    }
    Ok(Secret::from(value))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Bool(true) => "(set)".to_owned(),
        Value::String(text) => text.clone(),
        _ => "-".to_owned(),
    }
}
