//! The part of JSON Schema that the forges' descriptions use.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What a value must be.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Schema {
    r#type: Option<Type>,
    nullable: bool,
    r#enum: Option<Vec<Value>>,
    items: Option<Box<Schema>>,
    properties: Option<BTreeMap<String, Schema>>,
    required: Vec<String>,
    one_of: Option<Vec<Schema>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Type {
    One(TypeName),
    Several(Vec<TypeName>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TypeName {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
    Null,
}

impl Schema {
    /// A value in a query.
    pub(super) fn check_text(&self, text: &str) -> Result<(), String> {
        let value = match text.parse::<i64>() {
            Ok(number) if self.allows(TypeName::Integer) => Value::from(number),
            _ if self.allows(TypeName::Boolean) => Value::from(text == "true"),
            _ => Value::from(text),
        };
        self.check(&value, text)
    }

    fn allows(&self, name: TypeName) -> bool {
        let same = |given: &TypeName| {
            *given == name || (*given == TypeName::Number && name == TypeName::Integer)
        };
        match &self.r#type {
            None => false,
            Some(Type::One(given)) => same(given),
            Some(Type::Several(all)) => all.iter().any(same),
        }
    }

    /// A value; `place` names it in what is wrong.
    pub(super) fn check(&self, value: &Value, place: &str) -> Result<(), String> {
        if let Some(alternatives) = &self.one_of {
            let mut errors = Vec::new();
            for alternative in alternatives {
                match alternative.check(value, place) {
                    Ok(()) => return Ok(()),
                    Err(why) => errors.push(why),
                }
            }
            return Err(errors.join(", or "));
        }
        if value.is_null() && self.nullable {
            return Ok(());
        }
        let name = type_of(value);
        if self.r#type.is_some() && !self.allows(name) {
            return Err(format!("{place} is of the wrong type {name:?}"));
        }
        if self.r#enum.as_ref().is_some_and(|allowed| !allowed.contains(value)) {
            return Err(format!("{place} is none of the allowed values"));
        }
        match value {
            Value::Array(entries) => {
                let Some(items) = &self.items else { return Ok(()) };
                entries.iter().try_for_each(|entry| items.check(entry, &format!("{place}[]")))
            }
            Value::Object(fields) => self.check_fields(fields, place),
            _ => Ok(()),
        }
    }

    fn check_fields(
        &self,
        fields: &serde_json::Map<String, Value>,
        place: &str,
    ) -> Result<(), String> {
        let Some(properties) = &self.properties else { return Ok(()) };
        if let Some(missing) = self.required.iter().find(|name| !fields.contains_key(*name)) {
            return Err(format!("{place}.{missing} is missing"));
        }
        for (name, value) in fields {
            let place = format!("{place}.{name}");
            let schema = properties.get(name).ok_or_else(|| format!("{place} is unknown"))?;
            schema.check(value, &place)?;
        }
        Ok(())
    }
}

fn type_of(value: &Value) -> TypeName {
    match value {
        Value::Null => TypeName::Null,
        Value::Bool(_) => TypeName::Boolean,
        Value::Number(number) if number.is_f64() => TypeName::Number,
        Value::Number(_) => TypeName::Integer,
        Value::String(_) => TypeName::String,
        Value::Array(_) => TypeName::Array,
        Value::Object(_) => TypeName::Object,
    }
}
