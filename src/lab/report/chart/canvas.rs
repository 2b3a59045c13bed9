//! A drawing surface: shapes in CSS pixels, colours by meaning. It knows SVG and no figures.
//!
//! Shapes are drawn in quarters of a pixel, which keeps curves smooth where the backend rounds to whole
//! numbers. Colours are placeholders that become variables of the page's style, so that one chart
//! serves light, dark and print.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Units of the drawing in a pixel.
const FINE: f64 = 4.0;

/// A colour by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Text and points that are about everything.
    Text,
    /// Axes and text beside the point.
    Soft,
    /// Lines of the grid.
    Grid,
    /// What is chosen, a limit, a mark.
    Mark,
    /// Strategy by its place in the plan.
    Strategy(usize),
    /// The service.
    Api,
    /// The database.
    Database,
    /// Redis.
    Redis,
    /// The load driver, and everything else.
    Driver,
}

/// How many colours there are for strategies; further ones begin again, and are dashed.
pub const STRATEGY_COLOURS: usize = 8;

impl Ink {
    const PLAIN: [(Ink, &'static str); 8] = [
        (Ink::Text, "text"),
        (Ink::Soft, "soft"),
        (Ink::Grid, "grid"),
        (Ink::Mark, "mark"),
        (Ink::Api, "api"),
        (Ink::Database, "database"),
        (Ink::Redis, "redis"),
        (Ink::Driver, "driver"),
    ];

    fn number(self) -> u8 {
        match self {
            Ink::Strategy(place) => 100 + (place % STRATEGY_COLOURS) as u8,
            plain => {
                let place = Self::PLAIN.iter().position(|(ink, _)| *ink == plain);
                place.expect("every other colour is in the list") as u8
            }
        }
    }

    fn placeholder(self, dashed: bool) -> RGBColor {
        RGBColor(1, self.number(), u8::from(dashed))
    }

    /// Every placeholder as it stands in the SVG, with what takes its place.
    fn replacements() -> impl Iterator<Item = (String, String)> {
        let plain = Self::PLAIN.iter().map(|(ink, name)| (*ink, format!("var(--{name})")));
        let strategies = (0..STRATEGY_COLOURS)
            .map(|place| (Ink::Strategy(place), format!("var(--strategy-{place})")));
        plain.chain(strategies).flat_map(|(ink, colour)| {
            [(false, ""), (true, "\" stroke-dasharray=\"20 16")].map(|(dashed, dashes)| {
                let RGBColor(r, g, b) = ink.placeholder(dashed);
                (format!("\"#{r:02X}{g:02X}{b:02X}\""), format!("\"{colour}{dashes}\""))
            })
        })
    }
}

/// A stroke of a line.
#[derive(Debug, Clone, Copy)]
pub struct Stroke {
    /// Its colour.
    pub ink: Ink,
    /// Its width in pixels.
    pub width: f64,
    /// Whether it is interrupted.
    pub dashed: bool,
}

impl Stroke {
    /// An unbroken one.
    pub fn solid(ink: Ink, width: f64) -> Self {
        Self { ink, width, dashed: false }
    }

    /// An interrupted one.
    pub fn dashed(ink: Ink, width: f64) -> Self {
        Self { ink, width, dashed: true }
    }
}

/// Which side of a text is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// It begins there.
    Start,
    /// It is centred on it.
    Middle,
    /// It ends there.
    End,
}

/// A place in pixels from the upper left corner.
pub type Place = (f64, f64);

/// A drawing surface.
pub struct Canvas<'a>(DrawingArea<SVGBackend<'a>, Shift>);

/// Why a shape can always be drawn.
const DRAWN: &str = "a text can be written to";

fn fine(value: f64) -> i32 {
    (value * FINE).round() as i32
}

fn fine_place((x, y): Place) -> (i32, i32) {
    (fine(x), fine(y))
}

impl Canvas<'_> {
    /// A line through places.
    pub fn line(&self, places: &[Place], stroke: Stroke) {
        let style = ShapeStyle {
            color: stroke.ink.placeholder(stroke.dashed).to_rgba(),
            filled: false,
            stroke_width: fine(stroke.width) as u32,
        };
        let places: Vec<(i32, i32)> = places.iter().copied().map(fine_place).collect();
        self.0.draw(&PathElement::new(places, style)).expect(DRAWN);
    }

    /// A filled rectangle between two corners; `opacity` is 0 to 1.
    pub fn rectangle(&self, corners: [Place; 2], ink: Ink, opacity: f64) {
        let style = ink.placeholder(false).mix(opacity).filled();
        self.0.draw(&Rectangle::new(corners.map(fine_place), style)).expect(DRAWN);
    }

    /// A dot, or a ring where it is not filled.
    pub fn dot(&self, place: Place, radius: f64, ink: Ink, filled: bool) {
        let style = ShapeStyle {
            color: ink.placeholder(false).to_rgba(),
            filled,
            stroke_width: fine(1.5) as u32,
        };
        self.0.draw(&Circle::new(fine_place(place), fine(radius), style)).expect(DRAWN);
    }

    /// A text whose middle line is at a place.
    pub fn text(&self, text: &str, place: Place, align: Align, ink: Ink, bold: bool) {
        let anchor = match align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        let font = ("sans-serif", 13.0 * FINE).into_font();
        let font = if bold { font.style(FontStyle::Bold) } else { font };
        let colour = ink.placeholder(false);
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(anchor, VPos::Center));
        self.0.draw(&Text::new(text.to_owned(), fine_place(place), style)).expect(DRAWN);
    }
}

/// About how wide a text will be, in pixels: without the reader's font nobody can know, so it is a
/// little more than with the usual ones.
pub fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 7.3
}

/// Draws and returns the SVG. `id` makes the ids of its title and description unique in the page.
pub fn draw(
    (width, height): (f64, f64),
    id: &str,
    title: &str,
    description: &str,
    drawing: impl FnOnce(&Canvas<'_>),
) -> String {
    let mut svg = String::new();
    let size = (fine(width) as u32, fine(height) as u32);
    let canvas = Canvas(SVGBackend::with_string(&mut svg, size).into_drawing_area());
    drawing(&canvas);
    canvas.0.present().expect(DRAWN);
    drop(canvas);
    for (placeholder, colour) in Ink::replacements() {
        svg = svg.replace(&placeholder, &colour);
    }
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    // The page's style says which font, and where it is not transparent there is nothing to say.
    let body = without_attribute(body, "font-family");
    let body = without_attribute(&body, "font-size").replace(" opacity=\"1\"", "");
    format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
         <title id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>{body}",
        size.0,
        size.1,
        escaped(title),
        escaped(description),
    )
}

fn without_attribute(svg: &str, name: &str) -> String {
    let begin = format!(" {name}=\"");
    let mut parts = svg.split(&*begin);
    let mut rest = parts.next().unwrap_or("").to_owned();
    for part in parts {
        rest.push_str(part.split_once('"').map_or(part, |(_, after)| after));
    }
    rest
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
