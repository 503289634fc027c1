//! From the events of the program to lines of the log.

use std::io::{self, IsTerminal, Write};

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::journal::Journal;
use super::line::{Fields, Line};
use super::text::{Colours, json, pretty};

/// Where lines go.
#[derive(Debug)]
pub(super) enum Sink {
    /// The journal's own protocol.
    Journal(Journal),
    /// Objects on standard error.
    Json,
    /// Text on standard error.
    Pretty(Colours),
}

impl Sink {
    /// The journal of this machine.
    pub(super) fn journal() -> io::Result<Self> {
        Ok(Self::Journal(Journal::open()?))
    }

    /// Text, in colours where a terminal shows it.
    pub(super) fn pretty() -> Self {
        let terminal = io::stderr().is_terminal();
        Self::Pretty(if terminal { Colours::Terminal } else { Colours::None })
    }

    fn write(&self, line: &Line) {
        let text = match self {
            Self::Journal(journal) => match journal.write(line) {
                Ok(()) => return,
                // The service manager has standard error too.
                Err(_) => pretty(line, Colours::None),
            },
            Self::Json => json(line),
            Self::Pretty(colours) => pretty(line, *colours),
        };
        // There is no one left to tell.
        let _written = io::stderr().write_all(text.as_bytes());
    }
}

/// The layer that writes the log.
#[derive(Debug)]
pub(super) struct LogLayer(Sink);

impl LogLayer {
    pub(super) const fn new(sink: Sink) -> Self {
        Self(sink)
    }
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut outer = Fields::default();
        for span in ctx.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                outer.extend(fields);
            }
        }
        self.0.write(&Line::of(event, &outer));
    }
}
