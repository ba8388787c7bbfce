package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/tenonhq/tenon/platform/config"
)

const deployFolder = "../../platform/deploy"

func deployFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	metricPattern   = regexp.MustCompile(`\b(?:tenon|process|go)_[a-z_]+\b`)
	variablePattern = regexp.MustCompile(`(?m)^\s+([A-Z][A-Z_]+):`)
)

// checkDashboards holds dashboard and alerts against what a product exports: an
// alert on a metric that nobody has never fires.
func checkDashboards(t *testing.T, exported string) {
	t.Helper()
	for _, name := range []string{"grafana.json", "alerts.yml"} {
		asked := metricPattern.FindAllString(deployFile(t, name), -1)
		if len(asked) == 0 {
			t.Errorf("%s asks for nothing", name)
		}
		slices.Sort(asked)
		for _, metric := range slices.Compact(asked) {
			base := strings.TrimSuffix(strings.TrimSuffix(metric, "_bucket"), "_count")
			if !strings.Contains(exported, " "+base+" ") && !isDeclared(t, base) {
				t.Errorf("%s asks for %s, which nobody has", name, metric)
			}
		}
	}
}

// isDeclared reports whether the telemetry package has a metric that shows once
// something has happened.
func isDeclared(t *testing.T, metric string) bool {
	t.Helper()
	source, err := os.ReadFile("../../platform/telemetry/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(source), `Name: "`+metric+`"`)
}

func TestDeploymentsSetVariablesThatThereAre(t *testing.T) {
	t.Parallel()
	known := map[string]bool{
		// Of the other images.
		"POSTGRES_USER": true, "POSTGRES_PASSWORD": true, "POSTGRES_DB": true,
		"DB_HOST": true, "DB_USER": true, "DB_PASSWORD": true, "DB_NAME": true, "AUTH_TYPE": true, "POOL_MODE": true,
		"LISTEN_PORT": true, "DEFAULT_POOL_SIZE": true, "SERVER_LIFETIME": true, "SERVER_LOGIN_RETRY": true,
	}
	for _, variable := range config.Variables() {
		known[variable.Name] = true
	}
	for _, name := range []string{"compose.yml", "kubernetes/tenon.yaml", "kubernetes/migrate.yaml"} {
		text := deployFile(t, name)
		decoder := yaml.NewDecoder(strings.NewReader(text))
		documents := 0
		for document := new(any); decoder.Decode(document) == nil; document = new(any) {
			documents++
		}
		if documents == 0 || documents != strings.Count(text, "\n---\n")+1 {
			t.Errorf("%s is not YAML: %d documents", name, documents)
		}
		for _, match := range variablePattern.FindAllStringSubmatch(text, -1) {
			if !known[match[1]] {
				t.Errorf("%s sets %s, which nobody reads", name, match[1])
			}
		}
	}
}

func TestImageIsBuiltOfWhatGitHas(t *testing.T) {
	t.Parallel()
	var ignored [2][]string
	for i, name := range []string{".gitignore", ".dockerignore"} {
		text, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		for pattern := range strings.Lines(string(text)) {
			pattern = strings.TrimSuffix(strings.TrimSpace(pattern), "/")
			if pattern == "" || strings.HasPrefix(pattern, "#") {
				continue
			}
			// Git finds a pattern at any depth unless it begins with a slash.
			if i == 0 && !strings.HasPrefix(pattern, "/") {
				pattern = "**/" + pattern
			}
			ignored[i] = append(ignored[i], strings.TrimPrefix(pattern, "/"))
		}
	}
	if !slices.Equal(ignored[0], ignored[1]) {
		t.Errorf("git ignores %q, the image's build %q", ignored[0], ignored[1])
	}
}

func TestComposeFitsItsProxy(t *testing.T) {
	t.Parallel()
	var compose struct {
		Services map[string]struct {
			Image       string
			Build       any
			Environment map[string]string
			Networks    any // a list of names, or settings by name
		}
	}
	if err := yaml.Unmarshal([]byte(deployFile(t, "compose.yml")), &compose); err != nil {
		t.Fatal(err)
	}
	address := func(service string) any {
		networks, _ := compose.Services[service].Networks.(map[string]any)
		inside, _ := networks["inside"].(map[string]any)
		return inside["ipv4_address"]
	}
	servers := regexp.MustCompile(`(?m)^\s+server ([a-z0-9-]+):8080`).FindAllStringSubmatch(deployFile(t, "nginx.conf"), -1)
	if len(servers) == 0 {
		t.Fatal("the proxy has nobody to ask")
	}
	seen := map[any]bool{nil: true}
	for _, server := range servers {
		own := address(server[1])
		if seen[own] {
			t.Errorf("%s has the address %v, and needs one of its own that stays", server[1], own)
		}
		seen[own] = true
		if trusted := compose.Services[server[1]].Environment["TRUSTED_PROXIES"]; trusted != address("proxy") {
			t.Errorf("%s trusts %s, and the proxy is %v", server[1], trusted, address("proxy"))
		}
	}
	if regexp.MustCompile(`proxy_next_upstream .*http_`).MatchString(deployFile(t, "nginx.conf")) {
		t.Error("an answer that one tenant got takes an instance from all of them")
	}
	builders := 0
	for _, service := range compose.Services {
		if service.Image == "tenon" && service.Build != nil {
			builders++
		}
	}
	if builders != 1 {
		t.Errorf("%d services build the image", builders)
	}
}
