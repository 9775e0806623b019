use kuva::{
    TerminalBackend,
    plot::LinePlot,
    render::{layout::Layout, plots::Plot, render::render_multiple},
};

/// The size of a picture in a terminal, in characters.
pub const COLUMNS: usize = 100;
const ROWS: usize = 24;

/// One line through points, with what `layout` says of axes and title.
pub fn line(points: Vec<(f64, f64)>, layout: impl FnOnce(Layout) -> Layout) -> String {
    let plots = vec![Plot::Line(LinePlot::new().with_data(points))];
    let layout = layout(Layout::auto_from_plots(&plots).with_show_grid(false));
    let scene = render_multiple(plots, layout);
    let picture = TerminalBackend::new(COLUMNS, ROWS).render_scene(&scene);
    // One curve needs no colour, and the scene's black would not show on a dark terminal.
    let plain = console::strip_ansi_codes(&picture);
    plain
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}
