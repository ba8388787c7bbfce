// The command palette: a combobox whose list comes from the page that finds
// things. The input keeps the focus; one of the list's options is the active one.
import htmx from "htmx.org";

const dialog = () => document.getElementById("palette");
const input = () => document.getElementById("palette-input");
const options = () => [...dialog().querySelectorAll('[role="option"]')];
const active = () => dialog().querySelector('[role="option"][aria-selected="true"]');

function activate(option) {
  active()?.setAttribute("aria-selected", "false");
  option?.setAttribute("aria-selected", "true");
  option?.scrollIntoView({ block: "nearest" });
  if (option) input().setAttribute("aria-activedescendant", option.id);
  else input().removeAttribute("aria-activedescendant");
}

// opened fills the palette, if it is what was opened.
export function opened(what) {
  if (what !== dialog()) return;
  input().select();
  htmx.trigger(input(), "palette");
}

// What was found for other words is not what Enter goes to.
document.addEventListener("input", ({ target }) => {
  if (input() && target === input()) activate();
});

document.addEventListener("htmx:afterSwap", ({ target, detail }) => {
  if (target.id !== "palette-results") return;
  const found = options();
  input().setAttribute("aria-expanded", String(found.length > 0));
  activate((detail.requestConfig.formData.get("q") ?? "") === input().value ? found[0] : undefined);
  document.getElementById("palette-status").textContent = found.length === 1 ? "1 result" : `${found.length || "No"} results`;
});

document.addEventListener("keydown", (event) => {
  if (!input() || event.target !== input() || event.isComposing) return;
  const found = options();
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && found.length > 0) {
    event.preventDefault();
    const at = found.indexOf(active());
    activate(found[at < 0 && step < 0 ? found.length - 1 : (at + step + found.length) % found.length]);
  }
});

// Enter goes to the active option, and without one to the page that finds things.
document.addEventListener("submit", (event) => {
  if (!dialog()?.contains(event.target) || !active()) return;
  event.preventDefault();
  active().click();
});
