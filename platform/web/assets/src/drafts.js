// Keeps what was typed while the person signs in again. A draft lives in this
// tab's sessionStorage, for the page it was typed on, and is read once.

const key = () => "draft:" + location.pathname;
const lifetime = 60 * 60 * 1000;

// A hidden field is kept where it says so: what a form was filled from goes with it.
const isKept = (field) => field.name && ("draft" in field.dataset || !["password", "hidden", "file", "submit", "button"].includes(field.type));
const hasChanged = (field) =>
  ["checkbox", "radio"].includes(field.type) ? field.checked !== field.defaultChecked
  : field.type === "select-one" || field.type === "select-multiple" ? [...field.options].some((o) => o.selected !== o.defaultSelected)
  : field.value !== field.defaultValue;

// Forms are told apart by where they go: a page is rendered anew every time.
const nameOf = (form) => form.id || form.getAttribute("action") || "";

// A form that was refused holds what was typed as if it had been there from the start,
// so the form that is being sent is kept whether it has changed or not.
export function save(sent) {
  const forms = [...document.forms]
    .filter((form) => form.method === "post" && [...form.elements].some((field) => isKept(field) && (form === sent || hasChanged(field))))
    .map((form) => ({
      form: nameOf(form),
      fields: [...form.elements].filter(isKept).map((f) => ({ name: f.name, value: f.value, checked: f.checked })),
    }));
  if (forms.length === 0) return;
  try {
    sessionStorage.setItem(key(), JSON.stringify({ savedAt: Date.now(), forms }));
  } catch {
    // Storage is full or forbidden: there is nowhere to keep a draft.
  }
}

// restore fills the page's forms and says whether it changed anything.
export function restore() {
  let draft;
  try {
    draft = JSON.parse(sessionStorage.getItem(key()));
    sessionStorage.removeItem(key());
  } catch {
    return false;
  }
  if (!draft || Date.now() - draft.savedAt > lifetime) return false;
  let changed = false;
  for (const { form: name, fields } of draft.forms) {
    const form = [...document.forms].find((candidate) => nameOf(candidate) === name);
    if (!form) continue;
    const left = [...form.elements].filter(isKept);
    for (const { name: fieldName, value, checked } of fields) {
      const i = left.findIndex((field) => field.name === fieldName);
      if (i < 0) continue;
      const [field] = left.splice(i, 1);
      if (["checkbox", "radio"].includes(field.type)) field.checked = checked;
      else field.value = value;
      changed = true;
    }
  }
  return changed;
}
