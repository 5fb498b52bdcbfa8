"""Figures of a benchmark: samples of two things that were measured side by side, what one is of the
other, and how that is shown."""

import json
import statistics


class Figures:
    def __init__(self):
        self.rows = []

    def compare(self, section, what, unit, base, ours, higher_is_better=False, panel=None):
        """base and ours: (name, samples), samples in the order in which they were taken in turns.
        panel: where in the summary the row belongs (summary.py)."""
        self._add(section, what, unit, base, ours, higher_is_better, panel)

    def fact(self, section, what, unit, name, samples, higher_is_better=False, panel=None):
        """A figure that has nothing beside it."""
        self._add(section, what, unit, (None, ()), (name, samples), higher_is_better, panel)

    def absent(self, section, what, name, why):
        """What could not be measured here."""
        self._add(section, what, "", (None, ()), (name, ()), False, None, why)

    def _add(self, section, what, unit, base, ours, higher_is_better, panel, why=None):
        row = {"section": section, "what": what, "unit": unit, "higher_is_better": higher_is_better,
               "panel": panel, "base": base[0], "base_samples": list(base[1]),
               "ours": ours[0], "ours_samples": list(ours[1])}
        if why:
            row["why"] = why
        self.rows.append(row)

    def table(self):
        head = ["", "", "unit", "beside", "best", "median", "measured", "best", "median",
                "ratio of best", "median ratio"]
        lines = [head]
        section = None
        for row in self.rows:
            lines.append(["" if row["section"] == section else row["section"], row["what"],
                          row["unit"], *_side(row, "base"), *_side(row, "ours"), *_ratios(row)])
            section = row["section"]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        text_columns = (0, 1, 2, 3, 6)
        return "\n".join([
            "  ".join(cell.ljust(width) if i in text_columns else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
            for line in lines] + self.reasons())

    def reasons(self):
        """Each that is missing once, whatever the number of its rows."""
        reasons = {(row["ours"], row["why"]): None for row in self.rows if "why" in row}
        return [f"not measured: {name}: {why}" for name, why in reasons]

    def save(self, path, about):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"about": about, "figures": self.rows}, file, indent=1)

    @classmethod
    def load(cls, path):
        """The figures and where they come from, as save() has written them."""
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        figures = cls()
        figures.rows = saved["figures"]
        return figures, saved["about"]


def best(row, side):
    choose = max if row["higher_is_better"] else min
    return choose(row[side + "_samples"])


def _side(row, side):
    if not row[side]:
        return ["", "", ""]
    if not row[side + "_samples"]:
        return [row[side], "none", "none"]
    return [row[side], number(best(row, side)), number(statistics.median(row[side + "_samples"]))]


def median_ratio(row):
    """Of the pairs that were measured next to each other; None where there are none."""
    base, ours = row["base_samples"], row["ours_samples"]
    if not base or not ours or not all(base):
        return None
    return statistics.median(mine / other for mine, other in zip(ours, base))


def _ratios(row):
    ratio = median_ratio(row)
    if ratio is None:
        return ["", ""]
    return [f"{best(row, 'ours') / best(row, 'base'):.3f}", f"{ratio:.3f}"]


def number(value):
    """Three digits or more, so that a glance is enough."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value)}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
