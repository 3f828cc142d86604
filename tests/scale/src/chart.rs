// SPDX-License-Identifier: GPL-2.0-only

//! Line charts as SVG, to be read on a white page and on a dark one, with or without colours.

use svg::node::element::Group;
use svg::node::element::Path;
use svg::node::element::Rectangle;
use svg::node::element::Style;
use svg::node::element::Text;
use svg::Document;

/// One panel.
#[derive(Default)]
pub struct Chart {
    pub title: String,
    /// What the axes count.
    pub across: String,
    pub up: String,
    /// From where to where they go; what is above is cut off.
    pub x: (f64, f64),
    pub y: (f64, f64),
    pub x_ticks: Vec<f64>,
    pub y_ticks: Vec<f64>,
    pub lines: Vec<Line>,
}

pub struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Line {
    pub fn new(name: &str, points: impl Iterator<Item = (f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points: points.collect(),
        }
    }
}

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 300.0;
/// Around a panel's axes: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (52.0, 18.0, 36.0, 44.0);
const LEGEND_ROW: f64 = 18.0;
/// How wide a letter is taken to be, to place the legend.
const LETTER: f64 = 6.6;

/// Colours that the colour-blind tell apart, light and dark; the dashes do it without any.
const STYLE: &str = "
svg { font: 12px sans-serif; }
.paper { fill: #ffffff; } .ink { fill: #24292f; } .grid { stroke: #d0d7de; fill: none; } .axis { stroke: #57606a; fill: none; }
.line { fill: none; stroke-width: 2; }
.l0 { stroke: #57606a; stroke-dasharray: 2 4; } .l1 { stroke: #b35900; stroke-dasharray: 9 4; }
.l2 { stroke: #005cc5; } .l3 { stroke: #008060; stroke-dasharray: 7 3 2 3; } .l4 { stroke: #b0307a; stroke-dasharray: 4 2; }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117; } .ink { fill: #e6edf3; } .grid { stroke: #30363d; } .axis { stroke: #8d96a0; }
.l0 { stroke: #9da7b3; } .l1 { stroke: #ffa657; } .l2 { stroke: #79c0ff; } .l3 { stroke: #56d4a8; } .l4 { stroke: #ff9bce; }
}
";

/// The panels in so many columns, under one legend; `description` is for those who can't see it.
pub fn draw(charts: &[Chart], columns: usize, title: &str, description: &str) -> String {
    let width = WIDTH * columns as f64;
    let (legend, top) = legend(&charts[0].lines, width);
    let height = top + HEIGHT * charts.len().div_ceil(columns) as f64;
    let mut picture = Document::new()
        .set("viewBox", (0, 0, width, height))
        .set("width", width)
        .set("height", height)
        .set("role", "img")
        .set("aria-labelledby", "title description")
        .add(svg::node::Comment::new(
            "SPDX-License-Identifier: GPL-2.0-only",
        ))
        .add(svg::node::element::Title::new(title).set("id", "title"))
        .add(
            svg::node::element::Description::new()
                .set("id", "description")
                .add(svg::node::Text::new(description)),
        )
        .add(Style::new(STYLE))
        .add(
            Rectangle::new()
                .set("class", "paper")
                .set("width", width)
                .set("height", height),
        )
        .add(legend);
    for (place, chart) in charts.iter().enumerate() {
        let (column, row) = ((place % columns) as f64, (place / columns) as f64);
        let corner = format!("translate({} {})", WIDTH * column, top + HEIGHT * row);
        picture = picture.add(panel(chart).set("transform", corner));
    }
    format!("{picture}\n")
}

/// The legend, and the height that it takes.
fn legend(lines: &[Line], width: f64) -> (Group, f64) {
    let mut group = Group::new();
    let (left, mut x, mut y) = (MARGIN.0, MARGIN.0, LEGEND_ROW);
    for (number, line) in lines.iter().enumerate() {
        let wide = 40.0 + LETTER * line.name.chars().count() as f64 + 16.0;
        if x > left && x + wide > width {
            (x, y) = (left, y + LEGEND_ROW);
        }
        group = group
            .add(stroke(&format!("M{} {} h32", one(x), one(y - 4.0)), number))
            .add(label(&line.name, x + 38.0, y, "start"));
        x += wide;
    }
    (group, y + 8.0)
}

fn panel(chart: &Chart) -> Group {
    let (left, right, top, bottom) = MARGIN;
    let (wide, high) = (WIDTH - left - right, HEIGHT - top - bottom);
    let across = |x: f64| left + (x - chart.x.0) / (chart.x.1 - chart.x.0) * wide;
    let up = |y: f64| top + high - (y - chart.y.0) / (chart.y.1 - chart.y.0) * high;

    let mut group = Group::new()
        .add(label(&chart.title, left + wide / 2.0, 24.0, "middle").set("font-weight", "bold"));
    for &tick in &chart.y_ticks {
        let y = up(tick);
        group = group
            .add(
                Path::new()
                    .set("class", "grid")
                    .set("d", format!("M{} {} h{}", one(left), one(y), one(wide))),
            )
            .add(label(&tick.to_string(), left - 6.0, y + 4.0, "end"));
    }
    for &tick in &chart.x_ticks {
        group = group.add(label(
            &tick.to_string(),
            across(tick),
            top + high + 17.0,
            "middle",
        ));
    }
    let axes = format!("M{} {} v{} h{}", one(left), one(top), one(high), one(wide));
    group = group
        .add(Path::new().set("class", "axis").set("d", axes))
        .add(label(
            &chart.across,
            left + wide / 2.0,
            HEIGHT - 8.0,
            "middle",
        ))
        .add(label(&chart.up, 0.0, 0.0, "middle").set(
            "transform",
            format!("translate(14 {}) rotate(-90)", one(top + high / 2.0)),
        ));
    for (number, line) in chart.lines.iter().enumerate() {
        let points = visible(&line.points, chart.y.1);
        let steps = points
            .iter()
            .map(|(x, y)| format!("{} {}", one(across(*x)), one(up(*y))));
        let way = steps.collect::<Vec<_>>().join(" L");
        group = group.add(stroke(&format!("M{way}"), number));
    }
    group
}

/// The part of a line up to the panel's top, where it ends on the edge.
fn visible(points: &[(f64, f64)], top: f64) -> Vec<(f64, f64)> {
    let mut seen: Vec<(f64, f64)> = Vec::new();
    for &(x, y) in points {
        if y > top {
            if let Some(&(x0, y0)) = seen.last() {
                seen.push((x0 + (x - x0) * (top - y0) / (y - y0), top));
            }
            break;
        }
        seen.push((x, y));
    }
    seen
}

fn stroke(way: &str, number: usize) -> Path {
    Path::new()
        .set("class", format!("line l{number}"))
        .set("d", way)
}

fn label(text: &str, x: f64, y: f64, anchor: &str) -> Text {
    Text::new(text)
        .set("class", "ink")
        .set("x", one(x))
        .set("y", one(y))
        .set("text-anchor", anchor)
}

/// A coordinate: a tenth of a pixel is enough.
fn one(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}
