//! The text format of Prometheus, version 0.0.4. Pure.

use std::fmt::Write;

use super::family::{Family, Kind};
use super::histogram::Histogram;

/// Names and values of what tells the samples of one family apart.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// What is written so far.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// The samples of one family.
#[derive(Debug)]
pub(super) struct Samples<'t> {
    text: &'t mut String,
    family: &'static Family,
}

impl Text {
    /// Begins a family. Each is begun once.
    pub(super) fn family(&mut self, family: &'static Family) -> Samples<'_> {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing into a String cannot fail.
        let _written =
            writeln!(self.0, "# HELP {0} {1}\n# TYPE {0} {kind}", family.name, family.help);
        Samples { text: &mut self.0, family }
    }

    /// All of it.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl Samples<'_> {
    /// One sample.
    pub(super) fn value(&mut self, labels: Labels<'_>, value: f64) -> &mut Self {
        self.line("", labels, None, value)
    }

    /// The samples of a histogram.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) -> &mut Self {
        for (bound, count) in histogram.cumulative() {
            self.line("_bucket", labels, Some(&bound.to_string()), float(count));
        }
        let count = float(histogram.count());
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, histogram.sum());
        self.line("_count", labels, None, count)
    }

    fn line(
        &mut self,
        end: &str,
        labels: Labels<'_>,
        bound: Option<&str>,
        value: f64,
    ) -> &mut Self {
        let pairs: Vec<String> = labels
            .iter()
            .copied()
            .chain(bound.map(|bound| ("le", bound)))
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let pairs =
            if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        let _written = writeln!(self.text, "{}{end}{pairs} {value}", self.family.name);
        self
    }
}

/// A count as the format has it. It is exact up to 2^53.
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    static GAUGE: Family = Family { name: "some_bytes", kind: Kind::Gauge, help: "Some." };
    static TIMES: Family = Family { name: "some_seconds", kind: Kind::Histogram, help: "Times." };

    #[test]
    fn the_format_is_that_of_prometheus() {
        let mut text = Text::default();
        text.family(&GAUGE).value(&[], 12.0).value(&[("of", "a \"b\"\\\n")], 0.5);
        let mut times = Histogram::new(&[0.5, 2.0]);
        times.observe(Duration::from_secs(1));
        text.family(&TIMES).histogram(&[("phase", "run")], &times);
        assert_eq!(
            text.finish(),
            r#"# HELP some_bytes Some.
# TYPE some_bytes gauge
some_bytes 12
some_bytes{of="a \"b\"\\\n"} 0.5
# HELP some_seconds Times.
# TYPE some_seconds histogram
some_seconds_bucket{phase="run",le="0.5"} 0
some_seconds_bucket{phase="run",le="2"} 1
some_seconds_bucket{phase="run",le="+Inf"} 1
some_seconds_sum{phase="run"} 1
some_seconds_count{phase="run"} 1
"#
        );
    }
}
