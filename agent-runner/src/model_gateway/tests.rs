use serde_json::{Value, json};

use super::testing::*;
use super::wire::Wire;
use super::*;

mod budget;
mod fallback;
mod passing;
