//! From readings to figures: ratios to native, their medians and how far they spread.

use serde::Serialize;

use crate::measure::Reading;
use crate::peer::Kind;

/// A median with the least and the most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// The readings of one kind.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) kind: Kind,
    pub(crate) readings: Vec<Reading>,
}

/// What one kind took, as ratios to native.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) kind: &'static str,
    /// Whether it was cut short: the ratios are lower bounds.
    pub(crate) cut: bool,
    pub(crate) cpu: Spread,
    pub(crate) wall: Spread,
    pub(crate) peak_rss: Spread,
    pub(crate) readings: Vec<Reading>,
}

/// What native took, as it is.
#[derive(Debug, Serialize)]
pub(crate) struct Native {
    pub(crate) cpu_seconds: Spread,
    pub(crate) wall_seconds: Spread,
    pub(crate) peak_rss_kib: Spread,
}

/// All figures of one workload.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) workload: &'static str,
    pub(crate) native: Native,
    pub(crate) rows: Vec<Row>,
    /// The net overhead of heaptrack divided by that of the traced heap.
    pub(crate) heaptrack_over_traced: Option<f64>,
}

impl Spread {
    /// Of at least one value.
    fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let even = values.len().is_multiple_of(2);
        let median =
            if even { f64::midpoint(values[middle - 1], values[middle]) } else { values[middle] };
        Self { median, min: values[0], max: values[values.len() - 1] }
    }
}

impl Series {
    /// Without a reading yet.
    pub(crate) fn of(kind: Kind) -> Self {
        Self { kind, readings: Vec::new() }
    }

    fn spread(&self, part: impl Fn(&Reading) -> f64) -> Spread {
        Spread::of(self.readings.iter().map(part))
    }

    /// Each reading divided by native's of the same round.
    fn ratio(&self, native: &Self, part: impl Fn(&Reading) -> f64) -> Spread {
        let pairs = self.readings.iter().zip(&native.readings);
        Spread::of(pairs.map(|(reading, native)| part(reading) / part(native)))
    }

    /// For native the spread is that around its own median: what the machine's noise is.
    fn row(&self, native: &Self) -> Row {
        let by = |part: fn(&Reading) -> f64| {
            if self.kind == Kind::Native {
                let Spread { median, min, max } = self.spread(part);
                Spread { median: 1.0, min: min / median, max: max / median }
            } else {
                self.ratio(native, part)
            }
        };
        Row {
            kind: self.kind.name(),
            cut: self.readings.iter().any(|reading| reading.cut),
            cpu: by(|reading| reading.cpu),
            wall: by(|reading| reading.wall),
            peak_rss: by(|reading| reading.peak_rss_kib),
            readings: self.readings.clone(),
        }
    }
}

impl Figures {
    /// `series` has native first, and each has a reading.
    pub(crate) fn of(workload: &'static str, series: &[Series]) -> Self {
        let native = &series[0];
        let rows: Vec<_> = series.iter().map(|series| series.row(native)).collect();
        let figures = Self {
            workload,
            native: Native {
                cpu_seconds: native.spread(|reading| reading.cpu),
                wall_seconds: native.spread(|reading| reading.wall),
                peak_rss_kib: native.spread(|reading| reading.peak_rss_kib),
            },
            rows,
            heaptrack_over_traced: None,
        };
        let net = |kind: &Kind| Some(figures.row(kind.name())?.cpu.median - 1.0);
        let heaptrack_over_traced = match (net(&Kind::Heaptrack), net(&Kind::Traced)) {
            // Where tracing costs nothing that can be seen there is nothing to divide by.
            (Some(heaptrack), Some(traced)) if traced > 0.0 => Some(heaptrack / traced),
            _ => None,
        };
        Self { heaptrack_over_traced, ..figures }
    }

    /// The row of the kind of that name.
    pub(crate) fn row(&self, kind: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.kind == kind)
    }
}
