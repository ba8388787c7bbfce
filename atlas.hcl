// The Atlas CLI on this project's migrations. Nothing of Tenon needs it:
// `task migrate:*` plans and lints with Atlas' library, and applies with an engine
// of its own (platform/decisions/0002). Tried with the CLI v0.13.1, the newest that
// builds from source: planning tenants and status work; its checksum, unlike that of
// newer ones, covers the .down.sql files too, so it asks for `atlas migrate hash` first.
// It does not know of functions and leaves them behind in the scratch database, so it
// cannot build public, which has some, a second time.
//
//   psql postgres://… --file=migrations/schema/public.sql --command='CREATE SCHEMA template'
//   atlas migrate validate --env template --var scratch=postgres://…
//   atlas migrate diff add_phone --env template --var scratch=postgres://…
//   atlas migrate status --env tenant --var url=postgres://… --var tenants=tenant_acme_…

// URLs need a query, such as ?sslmode=disable, to which the schema is added.
variable "url" {
  type    = string
  default = "postgres://localhost:5432/tenon?sslmode=disable"
}

// A database for planning. In its schema public is what the tenants' triggers call
// there, as above, and the schema template may be emptied.
variable "scratch" {
  type    = string
  default = "postgres://localhost:5432/scratch?sslmode=disable"
}

variable "tenants" {
  type    = list(string)
  default = []
}

// What the product knows across tenants.
env "public" {
  src = "file://migrations/schema/public.sql"
  url = "${var.url}&search_path=public"
  migration {
    dir = "file://migrations/public?format=golang-migrate"
  }
}

// Authoring the tenants' template: no tenant is named, so names stay unqualified.
env "template" {
  src = "file://migrations/schema/tenant.sql"
  dev = "${var.scratch}&search_path=template"
  migration {
    dir = "file://migrations/tenant?format=golang-migrate"
  }
}

// Tenants, one after another.
env "tenant" {
  for_each = toset(var.tenants)
  url      = "${var.url}&search_path=${each.value}"
  dev      = "${var.scratch}&search_path=template"
  migration {
    dir = "file://migrations/tenant?format=golang-migrate"
  }
}
