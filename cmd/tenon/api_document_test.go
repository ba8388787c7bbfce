package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/api/openapi.json anew")

// TestDocumentIsCurrent holds the OpenAPI document in the repository, which
// shows in reviews what changes for clients and which linters look at, against
// the one that is served.
func TestDocumentIsCurrent(t *testing.T) {
	p := startProduct(t, "--no-seed")
	served := p.call(t, http.MethodGet, "/api/openapi.json", "", nil)
	// Where this instance is reached is no part of what is compared.
	text := strings.ReplaceAll(served.body, p.URL, "https://app.example.com")
	var got bytes.Buffer
	if err := json.Indent(&got, []byte(text), "", "  "); err != nil {
		t.Fatalf("%v in %s", err, served.body)
	}
	got.WriteByte('\n')
	const name = "testdata/api/openapi.json"
	if *update {
		if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s is not what is served; if the change is meant: go test ./cmd/tenon -run TestDocumentIsCurrent -update", name)
	}
}
