package telemetry

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// busiest counts the requests of every tenant over the last [busyMinutes]. A
// tenant that asks nothing costs nothing.
type busiest struct {
	now func() time.Time

	mu      sync.Mutex
	minutes [busyMinutes]busyMinute
}

const busyMinutes = 15

type busyMinute struct {
	minute  int64 // since 1970, of what is counted
	tenants map[string]Busy
}

// Busy is what a tenant asked for.
type Busy struct {
	Tenant   string `json:"tenant"`
	Requests int    `json:"requests"`
	// Seconds is how long the server worked on them, all requests together.
	Seconds float64 `json:"seconds"`
}

func (b *busiest) add(tenant string, took time.Duration) {
	if tenant == "" {
		return
	}
	minute := b.now().Unix() / 60
	b.mu.Lock()
	defer b.mu.Unlock()
	slot := &b.minutes[minute%busyMinutes]
	if slot.minute != minute || slot.tenants == nil {
		*slot = busyMinute{minute: minute, tenants: map[string]Busy{}}
	}
	busy := slot.tenants[tenant]
	slot.tenants[tenant] = Busy{Tenant: tenant, Requests: busy.Requests + 1, Seconds: busy.Seconds + took.Seconds()}
}

// top returns the n busiest tenants, by requests or by the time they took.
func (b *busiest) top(n int, bySeconds bool) []Busy {
	oldest := b.now().Unix()/60 - busyMinutes + 1
	total := map[string]Busy{}
	b.mu.Lock()
	for _, slot := range b.minutes {
		if slot.minute < oldest {
			continue
		}
		for tenant, busy := range slot.tenants {
			sum := total[tenant]
			total[tenant] = Busy{Tenant: tenant, Requests: sum.Requests + busy.Requests, Seconds: sum.Seconds + busy.Seconds}
		}
	}
	b.mu.Unlock()
	list := make([]Busy, 0, len(total))
	for _, busy := range total {
		list = append(list, busy)
	}
	slices.SortFunc(list, func(x, y Busy) int {
		byCount, byTime := cmp.Compare(y.Requests, x.Requests), cmp.Compare(y.Seconds, x.Seconds)
		if bySeconds {
			byCount, byTime = byTime, byCount
		}
		return cmp.Or(byCount, byTime, cmp.Compare(x.Tenant, y.Tenant))
	})
	return list[:min(n, len(list))]
}

const maxTop = 1000

func (b *busiest) serve(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(cmp.Or(r.FormValue("top"), "20"))
	by := cmp.Or(r.FormValue("by"), "requests")
	if err != nil || n < 1 || n > maxTop || by != "requests" && by != "seconds" {
		http.Error(w, "want top from 1 to 1000, and by as requests or seconds", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { // fails only when the client has gone
		Minutes int    `json:"minutes"`
		Tenants []Busy `json:"tenants"`
	}{busyMinutes, b.top(n, by == "seconds")})
}
