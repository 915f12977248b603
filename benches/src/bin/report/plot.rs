//! The plots.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use attuned_store_benches::contenders::{Attuned, Contender as _};
use attuned_store_benches::results::Measurement;
use plotters::prelude::*;

const SIZE: (u32, u32) = (1080, 600);
/// Beside the curves, not on them.
const LEGEND_WIDTH: i32 = 230;
const FONT: &str = "sans-serif";
const TITLE: i32 = 26;
const TEXT: i32 = 17;
/// This library's, in all plots; the others have the rest.
const OURS: RGBColor = RGBColor(200, 30, 45);
const OTHERS: [(&str, RGBColor); 7] = [
    ("DashMap", RGBColor(31, 90, 180)),
    ("std RwLock", RGBColor(225, 140, 20)),
    ("parking_lot RwLock", RGBColor(120, 85, 50)),
    ("scc", RGBColor(40, 140, 75)),
    ("attuned-store 1.0.1", RGBColor(130, 80, 160)),
    ("papaya (no history)", RGBColor(130, 130, 130)),
    ("before", RGBColor(60, 60, 60)),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    Logarithmic,
}

/// A line for each contender, over what is varied.
pub struct Curves {
    pub title: &'static str,
    /// The group of the measurements that are shown.
    pub group: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    /// What the values are multiplied by to get the unit of `y`.
    pub unit: f64,
    pub scale: Scale,
}

fn color(contender: &str) -> RGBColor {
    OTHERS
        .iter()
        .find(|(name, _)| *name == contender)
        .map_or(OURS, |&(_, color)| color)
}

/// This library first, the others in a fixed order.
fn contenders(shown: &[&Measurement]) -> Vec<&'static str> {
    std::iter::once(Attuned::NAME)
        .chain(OTHERS.iter().map(|&(name, _)| name))
        .filter(|name| shown.iter().any(|point| point.contender == *name))
        .collect()
}

/// Nothing is plotted if nothing was measured.
pub fn lines(
    path: &Path,
    curves: &Curves,
    measurements: &[&Measurement],
) -> Result<(), Box<dyn Error>> {
    let shown: Vec<&Measurement> = of_group(measurements, curves.group);
    if shown.is_empty() {
        return Ok(());
    }
    // Evenly spaced, whatever the values.
    let mut positions: Vec<f64> = shown.iter().map(|point| point.at).collect();
    positions.sort_by(f64::total_cmp);
    positions.dedup();
    let height = |value: f64| match curves.scale {
        Scale::Linear => value * curves.unit,
        Scale::Logarithmic => (value * curves.unit).max(1.0).log10(),
    };
    let heights = shown.iter().map(|point| height(point.value.median));
    let highest = heights.clone().fold(f64::MIN, f64::max);
    let y: Range<f64> = match curves.scale {
        Scale::Linear => 0.0..highest * 1.08,
        Scale::Logarithmic => heights.fold(f64::MAX, f64::min).floor()..highest.ceil(),
    };

    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, legend) = area.split_horizontally(SIZE.0 as i32 - LEGEND_WIDTH);
    let last = positions.len() as f64 - 1.0;
    let mut chart = ChartBuilder::on(&left)
        .caption(curves.title, (FONT, TITLE))
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(84)
        .build_cartesian_2d(-0.15..last + 0.15, y)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_desc(curves.x)
        .y_desc(curves.y)
        .label_style((FONT, TEXT))
        .x_labels(positions.len() * 2)
        .x_label_formatter(&|x| tick(curves.x, &positions, *x))
        .y_label_formatter(&|y| match curves.scale {
            Scale::Linear => grouped(*y),
            Scale::Logarithmic => grouped(10f64.powf(*y)),
        })
        .draw()?;
    for name in contenders(&shown) {
        let points: Vec<(f64, f64)> = positions
            .iter()
            .enumerate()
            .filter_map(|(position, &at)| {
                let point = shown
                    .iter()
                    .find(|point| point.contender == name && point.at == at)?;
                Some((position as f64, height(point.value.median)))
            })
            .collect();
        let width = if name == Attuned::NAME { 4 } else { 2 };
        let style = color(name).stroke_width(width);
        chart.draw_series(LineSeries::new(points.clone(), style))?;
        chart.draw_series(
            points
                .into_iter()
                .map(|point| Circle::new(point, width + 1, color(name).filled())),
        )?;
    }
    for (row, name) in contenders(&shown).into_iter().enumerate() {
        let y = 80 + 28 * row as i32;
        legend.draw(&Rectangle::new(
            [(8, y - 2), (34, y + 2)],
            color(name).filled(),
        ))?;
        legend.draw(&Text::new(name, (44, y - 9), (FONT, TEXT)))?;
    }
    area.present()?;
    Ok(())
}

/// A horizontal bar for each contender, with its value.
pub fn bars(
    path: &Path,
    title: &str,
    group: &str,
    measurements: &[&Measurement],
) -> Result<(), Box<dyn Error>> {
    let shown = of_group(measurements, group);
    if shown.is_empty() {
        return Ok(());
    }
    let names = contenders(&shown);
    let value = |name: &str| {
        shown
            .iter()
            .find(|point| point.contender == name)
            .map_or(0.0, |point| point.value.median)
    };
    let longest = names.iter().map(|name| value(name)).fold(0.0, f64::max);

    let area = SVGBackend::new(path, (SIZE.0, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, TITLE))
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(190)
        .build_cartesian_2d(0.0..longest * 1.15, 0.0..names.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .light_line_style(WHITE)
        .x_desc("bytes per user")
        .label_style((FONT, TEXT))
        .x_label_formatter(&|x| grouped(*x))
        .draw()?;
    for (row, name) in names.iter().enumerate() {
        // The first one on top.
        let bottom = (names.len() - 1 - row) as f64;
        let bytes = value(name);
        chart.draw_series([Rectangle::new(
            [(0.0, bottom + 0.18), (bytes, bottom + 0.82)],
            color(name).filled(),
        )])?;
        chart.draw_series([EmptyElement::at((bytes, bottom + 0.5))
            + Text::new(grouped(bytes), (6, -8), (FONT, TEXT))])?;
        let (x, y) = chart.backend_coord(&(0.0, bottom + 0.5));
        area.draw(&Text::new(*name, (x - 180, y - 8), (FONT, TEXT)))?;
    }
    area.present()?;
    Ok(())
}

fn of_group<'a>(measurements: &[&'a Measurement], group: &str) -> Vec<&'a Measurement> {
    measurements
        .iter()
        .filter(|point| point.group == group)
        .copied()
        .collect()
}

/// The label at a position, if there is one.
fn tick(parameter: &str, positions: &[f64], x: f64) -> String {
    let nearest = x.round();
    if (x - nearest).abs() > 1e-6 || nearest < 0.0 {
        return String::new();
    }
    match positions.get(nearest as usize) {
        Some(100.0) if parameter == "percentile" => "max".to_owned(),
        Some(at) if parameter == "percentile" => format!("p{at}"),
        Some(&at) => grouped(at),
        None => String::new(),
    }
}

/// With commas between thousands, and decimals only for small numbers.
fn grouped(value: f64) -> String {
    if value != 0.0 && value < 10.0 && value.fract().abs() > 1e-9 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
