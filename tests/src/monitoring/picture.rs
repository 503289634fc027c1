//! The dashboard as a picture (SVG): each panel where it stands, with what Prometheus answers to its queries.
//!
//! Grafana draws it in its own manner. What is shown here is what is in it.

use std::fmt::Write;

use super::dashboard::{Dashboard, Panel, PanelKind, Place, Series, Span};
use super::prometheus::Prometheus;

/// A grid's cell, in pixels.
const CELL: (f64, f64) = (50.0, 26.0);
const MARGIN: f64 = 8.0;
const COLOURS: [&str; 8] =
    ["#5794f2", "#73bf69", "#f2cc0c", "#ff780a", "#b877d9", "#8ab8ff", "#f2495c", "#fade2a"];
const STYLE: &str = "text{font:12px sans-serif;fill:#ccccdc}.t{font-weight:bold}.v{font-size:20px}\
                     .s{font-size:10px}.p{fill:#181b1f;stroke:#2c3235}";
/// Lines of a legend below a panel's chart.
const LEGENDS: usize = 3;

/// A drawn dashboard.
#[derive(Debug)]
pub struct Picture {
    /// The SVG document.
    pub svg: String,
    /// The panels that nothing was known for.
    pub empty: Vec<String>,
    /// The panels with queries.
    pub panels: usize,
}

/// Asks for all panels, and draws them.
///
/// # Errors
/// The query that Prometheus refuses, and why.
pub(super) async fn draw(
    dashboard: &Dashboard,
    prometheus: &Prometheus,
    span: Span,
) -> Result<Picture, String> {
    let rows = dashboard.panels.iter().map(|panel| panel.at.y + panel.at.h).max().unwrap_or(0);
    let (width, height) = (24.0 * CELL.0, f64::from(rows) * CELL.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\"><title>{}</title><style>{STYLE}</style>\
         <rect width=\"100%\" height=\"100%\" fill=\"#111217\"/>\n",
        escaped(&dashboard.title)
    );
    let (mut empty, mut panels) = (Vec::new(), 0);
    for panel in &dashboard.panels {
        let series = panel.answers(prometheus, span).await?;
        if panel.kind != PanelKind::Row {
            panels += 1;
            if series.iter().all(|one| one.points.is_empty()) {
                empty.push(panel.title.clone());
            }
        }
        let frame = Frame::of(panel.at);
        svg += &match panel.kind {
            PanelKind::Row => frame.text(0.0, 18.0, "t", &format!("▾ {}", panel.title)),
            PanelKind::Stat | PanelKind::Gauge => {
                frame.panel(panel) + &stat(&frame, panel, &series)
            }
            PanelKind::TimeSeries => frame.panel(panel) + &lines(&frame, panel, &series, span),
        };
        svg.push('\n');
    }
    svg += "</svg>\n";
    Ok(Picture { svg, empty, panels })
}

/// A panel's place in the picture, in pixels.
struct Frame {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Frame {
    fn of(at: Place) -> Self {
        Self {
            left: f64::from(at.x) * CELL.0,
            top: f64::from(at.y) * CELL.1,
            width: f64::from(at.w) * CELL.0,
            height: f64::from(at.h) * CELL.1,
        }
    }

    fn text(&self, right: f64, down: f64, class: &str, text: &str) -> String {
        let (x, y) = (self.left + MARGIN + right, self.top + down);
        format!("<text x=\"{x:.0}\" y=\"{y:.0}\" class=\"{class}\">{}</text>", escaped(text))
    }

    fn panel(&self, panel: &Panel) -> String {
        let Self { left, top, width, height } = self;
        let (x, y, w, h) = (left + 2.0, top + 2.0, width - 4.0, height - 4.0);
        let border = format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"3\" class=\"p\"/>"
        );
        border + &self.text(0.0, 20.0, "t", &panel.title)
    }
}

/// The newest value of each series, with its name where there are several.
fn stat(frame: &Frame, panel: &Panel, series: &[Series]) -> String {
    let newest: Vec<_> =
        series.iter().filter_map(|one| Some((&one.name, one.points.last()?.1))).collect();
    if newest.is_empty() {
        return frame.text(0.0, 60.0, "v", "no data");
    }
    let step = (frame.width - 2.0 * MARGIN) / newest.len() as f64;
    let mut drawn = String::new();
    for (number, (name, value)) in newest.iter().enumerate() {
        let right = step * number as f64;
        drawn += &frame.text(right, 60.0, "v", &panel.worded(*value));
        if newest.len() > 1 {
            drawn += &frame.text(right, 84.0, "s", name);
        }
    }
    drawn
}

fn lines(frame: &Frame, panel: &Panel, series: &[Series], span: Span) -> String {
    let known: Vec<_> = series.iter().filter(|one| !one.points.is_empty()).collect();
    let Some(top) = known.iter().flat_map(|one| &one.points).map(|point| point.1).reduce(f64::max)
    else {
        return frame.text(0.0, 60.0, "s", "no data");
    };
    let scale = if top > 0.0 { top } else { 1.0 };
    let (left, right) = (frame.left + 62.0, frame.left + frame.width - MARGIN);
    let (high, low) =
        (frame.top + 34.0, frame.top + frame.height - 30.0 - 13.0 * LEGENDS as f64 / 2.0);
    let place = |(time, value): &(f64, f64)| {
        let x = left + (time - span.begin) / (span.end - span.begin) * (right - left);
        (x, low - value / scale * (low - high))
    };
    let mut drawn =
        format!("<path d=\"M{left} {high}V{low}H{right}\" fill=\"none\" stroke=\"#2c3235\"/>");
    drawn += &frame.text(0.0, 38.0, "s", &panel.worded(top));
    drawn += &frame.text(0.0, low - frame.top, "s", &panel.worded(0.0));
    for (number, one) in known.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let path: Vec<_> =
            one.points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(
            drawn,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            path.join(" ")
        );
    }
    drawn + &legends(frame, &known, low)
}

/// The names of the lines, in columns.
fn legends(frame: &Frame, known: &[&Series], low: f64) -> String {
    let columns = known.len().div_ceil(LEGENDS).max(2);
    let step = (frame.width - 2.0 * MARGIN) / columns as f64;
    let mut drawn = String::new();
    for (number, one) in known.iter().enumerate() {
        let right = step * (number % columns) as f64;
        let down = low - frame.top + 14.0 + 12.0 * (number / columns) as f64;
        let (x, y) = (frame.left + MARGIN + right, frame.top + down - 3.0);
        let colour = COLOURS[number % COLOURS.len()];
        let _ =
            write!(drawn, "<path d=\"M{x:.0} {y:.0}h10\" stroke=\"{colour}\" stroke-width=\"3\"/>");
        let name: String = one.name.chars().take((step / 5.5) as usize).collect();
        drawn += &frame.text(right + 14.0, down, "s", &name);
    }
    drawn
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
