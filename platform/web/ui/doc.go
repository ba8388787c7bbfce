// Package ui holds the components that pages are made of: buttons, fields,
// cards, tables, dialogs and the like, as templ components on the classes of
// Basecoat, which looks like shadcn/ui.
//
// Every component works without JavaScript; assets/src/app.js improves some.
// None emits an inline script, an inline style or an on… attribute, and values
// reach the markup escaped. A field keeps what was submitted, names its error
// through aria-describedby, and says aria-invalid.
package ui
