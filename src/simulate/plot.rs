//! Line plots as SVG, written by hand: a title that says what one sees, axes with round numbers,
//! a legend in the order of the lines.

use std::fmt::Write as _;

use crate::simulate::measure::number;

/// One line of a plot.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    /// The plot's name.
    pub(super) plot: &'static str,
    /// The line's name.
    pub(super) series: &'static str,
    /// Its points.
    pub(super) points: Vec<(f64, f64)>,
}

/// What a plot says around its lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Its name, and that of its file.
    pub(super) name: &'static str,
    /// What one sees.
    pub(super) title: &'static str,
    /// What goes to the right.
    pub(super) x: Axis,
    /// What goes up.
    pub(super) y: Axis,
}

/// One axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// What it counts, with its unit.
    pub(super) label: &'static str,
    /// How far apart numbers are.
    pub(super) scale: Scale,
}

/// How far apart the numbers of an axis are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// By their difference; shows zero.
    Linear,
    /// By their ratio; what is not above zero is left out.
    Logarithmic,
}

/// An axis that knows its range.
#[derive(Debug, Clone, Copy)]
struct Ruler {
    scale: Scale,
    low: f64,
    high: f64,
}

/// The plot of some lines.
pub(super) fn draw(frame: &Frame, curves: &[&Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| curve.points.iter());
    let across = Ruler::over(frame.x.scale, points().map(|point| point.0));
    let up = Ruler::over(frame.y.scale, points().map(|point| point.1));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"Inter, Helvetica, Arial, sans-serif\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"17\" font-weight=\"600\" fill=\"#1b1f24\">{}</text>\n",
        escaped(frame.title)
    );
    legend(&mut svg, curves);
    grid(&mut svg, frame, &across, &up);
    for (position, curve) in curves.iter().enumerate() {
        line(&mut svg, curve, colour(position), &across, &up);
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String, curves: &[&Curve]) {
    let mut x = LEFT;
    for (position, curve) in curves.iter().enumerate() {
        let (colour, end, text) = (colour(position), x + 22.0, x + 28.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"49\" x2=\"{end:.1}\" y2=\"49\" stroke=\"{colour}\" \
             stroke-width=\"3\"/><text x=\"{text:.1}\" y=\"53\" font-size=\"13\" \
             fill=\"#3d444d\">{}</text>",
            escaped(curve.series)
        );
        x += 52.0 + 7.0 * number(curve.series.chars().count());
    }
}

fn grid(svg: &mut String, frame: &Frame, across: &Ruler, up: &Ruler) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for tick in up.ticks() {
        let y = up.place(tick, bottom, TOP);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#e4e8ec\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"12\" fill=\"#59636e\" \
             text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            label(tick)
        );
    }
    for tick in across.ticks() {
        let x = across.place(tick, LEFT, right);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{bottom}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#8c959f\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"12\" fill=\"#59636e\" \
             text-anchor=\"middle\">{}</text>",
            bottom + 5.0,
            bottom + 20.0,
            label(tick)
        );
    }
    let _ = writeln!(
        svg,
        "<line x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{bottom}\" stroke=\"#8c959f\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"13\" fill=\"#3d444d\" \
         text-anchor=\"middle\">{}</text>\n\
         <text transform=\"translate(18 {:.1}) rotate(-90)\" font-size=\"13\" fill=\"#3d444d\" \
         text-anchor=\"middle\">{}</text>",
        f64::midpoint(LEFT, right),
        HEIGHT - 12.0,
        escaped(frame.x.label),
        f64::midpoint(TOP, bottom),
        escaped(frame.y.label)
    );
}

fn line(svg: &mut String, curve: &Curve, colour: &str, across: &Ruler, up: &Ruler) {
    let seen = curve.points.iter().filter(|(x, y)| across.shows(*x) && up.shows(*y));
    let places: Vec<(f64, f64)> = seen
        .map(|(x, y)| {
            let x = across.place(*x, LEFT, WIDTH - RIGHT);
            (x, up.place(*y, HEIGHT - BOTTOM, TOP))
        })
        .collect();
    let path = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
    let _ = writeln!(
        svg,
        "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.2\" \
         stroke-linejoin=\"round\"/>"
    );
    if places.len() <= FEW_POINTS {
        for (x, y) in places {
            let _ =
                writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.4\" fill=\"{colour}\"/>");
        }
    }
}

impl Ruler {
    fn over(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let shown = values.filter(|value| scale == Scale::Linear || *value > 0.0);
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if !low.is_finite() || !high.is_finite() {
            return Self { scale, low: 1.0, high: 10.0 };
        }
        match scale {
            Scale::Linear => {
                let (low, high) = (low.min(0.0), high.max(low.min(0.0) + 1e-9));
                let step = step(high - low);
                let low = (low / step).floor() * step;
                Self { scale, low, high: (high / step - 1e-9).ceil() * step }
            }
            Scale::Logarithmic => {
                let high = 10.0_f64.powf(high.log10().ceil()).max(low * 10.0);
                Self { scale, low: 10.0_f64.powf(low.log10().floor()), high }
            }
        }
    }

    fn shows(&self, value: f64) -> bool {
        self.scale == Scale::Linear || value > 0.0
    }

    fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        from + (to - from) * share
    }

    fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        let mut tick = self.low;
        let step = step(self.high - self.low);
        while tick <= self.high * (1.0 + 1e-9) && ticks.len() < TICKS_MAX {
            ticks.push(tick);
            tick = match self.scale {
                Scale::Linear => tick + step,
                Scale::Logarithmic => tick * 10.0,
            };
        }
        ticks
    }
}

/// A round step that divides a range into four to nine parts.
fn step(range: f64) -> f64 {
    let magnitude = 10.0_f64.powf(range.log10().floor());
    let parts = range / magnitude;
    let step = if parts < 2.0 {
        0.25
    } else if parts < 5.0 {
        0.5
    } else {
        1.0
    };
    step * magnitude
}

fn label(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded.abs() >= 10_000.0 {
        return format!("{}k", rounded / 1_000.0);
    }
    format!("{}", rounded + 0.0)
}

/// Colours that those who see fewer can tell apart (Okabe and Ito, 2008).
fn colour(position: usize) -> &'static str {
    const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
    COLOURS.get(position % COLOURS.len()).copied().unwrap_or("#000000")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 58.0;
const TICKS_MAX: usize = 40;
const FEW_POINTS: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_on_round_numbers() {
        let ruler = Ruler::over(Scale::Linear, [3.0, 97.0].into_iter());
        assert_eq!((ruler.low, ruler.high), (0.0, 100.0));
        let ruler = Ruler::over(Scale::Logarithmic, [0.0, 3.0, 970.0].into_iter());
        assert_eq!((ruler.low, ruler.high), (1.0, 1_000.0));
        assert_eq!(ruler.ticks(), [1.0, 10.0, 100.0, 1_000.0]);
    }

    #[test]
    fn text_cannot_break_the_markup() {
        let axis = Axis { label: "a < b & c", scale: Scale::Linear };
        let frame = Frame { name: "n", title: "x > y", x: axis, y: axis };
        let svg = draw(&frame, &[]);
        assert!(svg.contains("a &lt; b &amp; c") && svg.contains("x &gt; y"));
    }
}
