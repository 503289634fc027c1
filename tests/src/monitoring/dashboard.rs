//! The Grafana dashboard, held against a Prometheus: what each of its queries is answered.
//!
//! Invariant: what is asked is what Grafana would ask: the expression as it is in the file, its variable
//! replaced by "all".

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::prometheus::Prometheus;

/// A dashboard, as far as it is drawn here.
#[derive(Debug, Deserialize)]
pub struct Dashboard {
    /// Its heading.
    pub title: String,
    /// In the order of the file.
    pub panels: Vec<Panel>,
}

/// A panel, or the heading of those below it.
#[derive(Debug, Deserialize)]
pub struct Panel {
    /// Its heading.
    pub title: String,
    /// How it is drawn.
    #[serde(rename = "type")]
    pub kind: PanelKind,
    /// Where it is, in 24ths of the width and in rows.
    #[serde(rename = "gridPos")]
    pub at: Place,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default, rename = "fieldConfig")]
    fields: Fields,
}

/// The kinds of panels that the dashboard has.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum PanelKind {
    /// A heading.
    Row,
    /// The newest values.
    Stat,
    /// The newest values, of a whole.
    Gauge,
    /// Lines over time.
    TimeSeries,
}

/// A place in the grid.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Place {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}

#[derive(Debug, Deserialize)]
struct Target {
    expr: String,
    #[serde(rename = "legendFormat")]
    legend: String,
}

#[derive(Debug, Default, Deserialize)]
struct Fields {
    defaults: Defaults,
}

#[derive(Debug, Default, Deserialize)]
struct Defaults {
    #[serde(default)]
    unit: String,
    #[serde(default)]
    mappings: Vec<Mapping>,
}

#[derive(Debug, Deserialize)]
struct Mapping {
    options: Value,
}

/// A line of a panel.
#[derive(Debug)]
pub struct Series {
    /// Its legend.
    pub name: String,
    /// Seconds of the epoch, and the value then; only numbers.
    pub points: Vec<(f64, f64)>,
}

/// A stretch of time, in seconds of the epoch.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// From then
    pub begin: f64,
    /// to then.
    pub end: f64,
}

impl Dashboard {
    /// Reads it.
    ///
    /// # Errors
    /// When the file is not one, in words.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }
}

impl Panel {
    /// What its queries are answered.
    ///
    /// # Errors
    /// The query that Prometheus refuses, and why.
    pub async fn answers(
        &self,
        prometheus: &Prometheus,
        span: Span,
    ) -> Result<Vec<Series>, String> {
        let mut all = Vec::new();
        for target in &self.targets {
            let expression = target.expr.replace("$instance", ".*");
            let found = prometheus.range(&expression, span).await;
            let found = found.map_err(|why| format!("{}: {expression}: {why}", self.title))?;
            all.extend(found.iter().map(|series| Series {
                name: legend(&target.legend, &series["metric"]),
                points: points(&series["values"]),
            }));
        }
        Ok(all)
    }

    /// A value in words, as the panel's unit and mappings have it.
    #[must_use]
    pub fn worded(&self, value: f64) -> String {
        let Defaults { unit, mappings } = &self.fields.defaults;
        let text = mappings.iter().find_map(|one| one.options[value.to_string()]["text"].as_str());
        text.map_or_else(|| in_unit(unit, value), str::to_owned)
    }
}

/// A legend with the labels of a series in it.
fn legend(format: &str, labels: &Value) -> String {
    let mut name = format.to_owned();
    for (label, value) in labels.as_object().into_iter().flatten() {
        name = name.replace(&format!("{{{{{label}}}}}"), value.as_str().unwrap_or_default());
    }
    name
}

fn points(values: &Value) -> Vec<(f64, f64)> {
    let values = values.as_array().into_iter().flatten();
    let point = |pair: &Value| {
        let value: f64 = pair[1].as_str()?.parse().ok()?;
        Some((pair[0].as_f64()?, value)).filter(|_| value.is_finite())
    };
    values.filter_map(point).collect()
}

fn in_unit(unit: &str, value: f64) -> String {
    let scaled = |steps: &[(f64, &str)], smallest: &str| {
        let fits = steps.iter().find(|(size, _)| value >= *size);
        let (size, suffix) = fits.copied().unwrap_or((1.0, smallest));
        format!("{}{suffix}", rounded(value / size))
    };
    match unit {
        "bytes" => {
            scaled(&[(1_073_741_824.0, " GiB"), (1_048_576.0, " MiB"), (1024.0, " KiB")], " B")
        }
        "s" => scaled(&[(3600.0, " h"), (60.0, " min")], " s"),
        "percent" => format!("{} %", rounded(value)),
        "currencyUSD" => format!("${}", rounded(value)),
        _ => scaled(&[(1e6, " M"), (1e4, " K")], ""),
    }
}

/// Three digits, no more.
fn rounded(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 || size.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_dashboard_of_the_package_is_read_whole() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/monitoring/grafana-dashboard.json");
        let dashboard = Dashboard::read(Path::new(path)).unwrap();
        assert!(dashboard.panels.len() > 20);
        for panel in &dashboard.panels {
            assert_eq!(panel.kind == PanelKind::Row, panel.targets.is_empty(), "{}", panel.title);
        }
    }

    #[test]
    fn a_legend_has_the_labels_of_its_series() {
        let labels = json!({"cause": "limited", "exit": "4"});
        assert_eq!(legend("{{cause}} {{exit}}", &labels), "limited 4");
        assert_eq!(legend("slots", &labels), "slots");
    }

    #[test]
    fn values_are_in_words_that_a_person_reads() {
        let cases = [
            ("bytes", 3_221_225_472.0, "3 GiB"),
            ("bytes", 12.0, "12 B"),
            ("s", 0.0042, "0.0042 s"),
            ("s", 0.0, "0 s"),
            ("s", 90.0, "1.50 min"),
            ("percent", 50.0, "50 %"),
            ("short", 12.25, "12.2"),
            ("short", 0.0, "0"),
        ];
        for (unit, value, words) in cases {
            assert_eq!(in_unit(unit, value), words);
        }
    }

    #[test]
    fn what_is_no_number_is_no_point() {
        let values = json!([[1.0, "2.5"], [2.0, "NaN"], [3.0, "+Inf"], [4.0, "0"]]);
        assert_eq!(points(&values), [(1.0, 2.5), (4.0, 0.0)]);
    }
}
