"""Colours and type of the page's figures."""

from bokeh.themes import Theme

from multistar.plots.style import INK, LINE, MUTED

FONT = "'Helvetica Neue', Helvetica, Arial, sans-serif"

_PLOT = {
    "background_fill_color": "white",
    "border_fill_color": "white",
    "outline_line_color": LINE,
}
_AXIS = {
    "axis_line_color": LINE,
    "major_tick_line_color": LINE,
    "minor_tick_line_color": None,
    "major_tick_in": 0,
    "axis_label_text_font_style": "normal",
    "axis_label_text_font": FONT,
    "axis_label_text_font_size": "13px",
    "axis_label_text_color": INK,
    "major_label_text_font": FONT,
    "major_label_text_font_size": "12px",
    "major_label_text_color": MUTED,
}
_LEGEND = {
    "border_line_color": None,
    "background_fill_alpha": 0,
    "padding": 0,
    "spacing": 16,
    "margin": 4,
    "glyph_width": 16,
    "orientation": "horizontal",
    "label_text_font": FONT,
    "label_text_font_size": "12px",
    "label_text_color": MUTED,
}
_TITLE = {
    "text_font": FONT,
    "text_font_size": "13px",
    "text_font_style": "normal",
    "text_color": INK,
}
_COLOUR_BAR = {
    "bar_line_color": None,
    "major_tick_line_color": None,
    "width": 12,
    "padding": 6,
    "major_label_text_font": FONT,
    "major_label_text_font_size": "12px",
    "major_label_text_color": MUTED,
}
THEME = Theme(
    json={
        "attrs": {
            "Plot": _PLOT,
            "Axis": _AXIS,
            "Grid": {"grid_line_color": "#eef1f4"},
            "Legend": _LEGEND,
            "Title": _TITLE,
            "ColorBar": _COLOUR_BAR,
        }
    }
)
