package main

// auditContract is what the audit log's operations answer in acme, where things
// have happened.
func (p *product) auditContract() map[string][]exchange {
	first := []string{"entry", "1"}
	return map[string][]exchange{
		"list-audit-log": {
			{status: 200, as: "admin"},
			{status: 200, as: everyKey, query: "limit=1&action=member&from=2026-01-01&until=2100-01-01T00:00:00Z"},
			{status: 400, as: "owner", query: "x=%00", undocumented: true},
			{status: 401},
			{status: 403, as: "member"},
			{status: 404, as: "stranger"},
			{status: 422, as: "owner", query: "from=yesterday"},
			{status: 422, as: "owner", query: "action=nothing"},
		},
		"get-audit-entry": {
			{status: 200, as: "admin", path: first},
			{status: 400, as: "owner", path: first, query: "x=%00", undocumented: true},
			{status: 401, path: first},
			{status: 403, as: "viewer", path: first},
			{status: 404, as: "owner", path: []string{"entry", "1000000"}},
			{status: 404, as: "owner", path: []string{"entry", "x"}},
			{status: 422, as: "owner", path: first, query: "x=1", undocumented: true},
		},
	}
}
