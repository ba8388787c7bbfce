package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tenonhq/tenon/platform/database"
)

// scrape returns what Prometheus gets.
func (p *product) scrape(t testing.TB) string {
	t.Helper()
	response, err := http.Get(p.MetricsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%d: %v", response.StatusCode, err)
	}
	return string(text)
}

func TestMetricsOfTheProduct(t *testing.T) {
	p := startProduct(t, "--no-seed")
	ada := p.newUser(t, "Ada")
	acme := p.newOrganization(t, "Acme", "acme", ada)
	token := p.token(t, ada, acme)
	if got := p.call(t, http.MethodGet, "/api/tenants/acme/projects", token, nil); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	eventually(t, "the webhooks", func() bool { return strings.Contains(p.scrape(t), `tenon_webhook_inbox_events{state="pending"} 0`) })
	text := p.scrape(t)
	for _, want := range []string{
		`tenon_http_request_duration_seconds_count{method="GET",route="/api/tenants/{tenant}/projects",status="200"} 1`,
		`tenon_http_request_duration_seconds_count{method="POST",route="/api/webhooks/clerk",status="200"}`,
		`tenon_database_message_duration_seconds_count{operation="select"}`,
		`tenon_database_connections{state="busy"}`, "tenon_database_wait_seconds_total",
		`tenon_webhook_inbox_events{state="dead"} 0`, "tenon_webhook_lag_seconds 0",
		"tenon_public_schema_current 1", `tenon_tenants{schema_version="`, "tenon_migration_failed_tenants 0",
		`tenon_catalog_bytes{table="pg_attribute"}`, fmt.Sprintf("tenon_catalog_backend_bytes %d", database.CatalogBytesPerTenant), "tenon_tenant_room ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	if strings.Contains(text, acme.ID) || strings.Contains(text, "acme") {
		t.Error("a tenant is a label")
	}
	checkDashboards(t, text)
}
