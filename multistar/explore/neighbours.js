// A table of stars whose ids are buttons: a click, or Enter, asks for that star.
export function render({ model }) {
  const box = document.createElement("div");
  box.className = "scroll";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Neighbours");
  const cell = (row, kind, text) => {
    const made = document.createElement(kind);
    made.textContent = text;
    row.append(made);
    return made;
  };
  const fill = () => {
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const [name, unit] of model.head) {
      const made = cell(head, "th", name);
      made.scope = "col";
      made.append(Object.assign(document.createElement("small"), { textContent: unit }));
    }
    const body = table.createTBody();
    for (const [id, ...values] of model.rows) {
      const row = body.insertRow();
      const button = document.createElement("button");
      button.textContent = id;
      button.addEventListener("click", () => model.send_msg(id));
      cell(row, "td", "").append(button);
      for (const value of values) cell(row, "td", value);
    }
    const focused = box.contains(box.getRootNode().activeElement ?? null);
    box.replaceChildren(table);
    if (focused) body.querySelector("button")?.focus();
  };
  model.on("rows", fill);
  fill();
  return box;
}
