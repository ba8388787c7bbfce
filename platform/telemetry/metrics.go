package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tenonhq/tenon/platform/cache"
	"github.com/tenonhq/tenon/platform/database"
	"github.com/tenonhq/tenon/platform/httpserver"
	"github.com/tenonhq/tenon/platform/ratelimit"
)

// Metrics is everything that Prometheus can ask of this process. It is safe for
// concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	logger   *slog.Logger
	slow     time.Duration

	requests   *prometheus.HistogramVec
	statements *prometheus.HistogramVec
	failures   *prometheus.CounterVec
	slowOnes   prometheus.Counter
	probes     *prometheus.CounterVec
	busiest    busiest
}

// NewMetrics returns metrics of the process and of Go's runtime. Statements that
// take longer than slow are logged; 0 logs none.
func NewMetrics(logger *slog.Logger, slow time.Duration, build prometheus.Labels) *Metrics {
	// A latency that one waits for is somewhere in here; histograms that are
	// queried together have the same buckets.
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		logger:   logger,
		slow:     slow,
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tenon_http_request_duration_seconds", Help: "Time to answer a request, by route and status.", Buckets: buckets,
		}, []string{"method", "route", "status"}),
		statements: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tenon_database_message_duration_seconds", Help: "Time until the answer of a message to the database begins.", Buckets: buckets,
		}, []string{"operation"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenon_database_message_failures_total", Help: "Messages to the database that failed, constraints and cancelled requests included.",
		}, []string{"operation"}),
		slowOnes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tenon_database_slow_messages_total", Help: "Messages to the database that were logged as slow.",
		}),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenon_probe_failures_total", Help: "Probes that could not be read in time, whose gauges are missing from that scrape.",
		}, []string{"probe"}),
		busiest: busiest{now: time.Now},
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "tenon_build_info", Help: "1, labelled by what this binary is.", ConstLabels: build})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.statements, m.failures, m.slowOnes, m.probes, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// ObserveRequest is a router's Observe.
func (m *Metrics) ObserveRequest(_ context.Context, a httpserver.Answered) {
	route := a.Route
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(methodLabel(a.Method), route, strconv.Itoa(a.Status)).Observe(a.Duration.Seconds())
	m.busiest.add(a.Tenant, a.Duration)
}

// methodLabel bounds what a client can make a label of.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// ObserveMessage is a database's Observe: it measures, logs what was slow, and
// makes a span of what belongs to a trace.
func (m *Metrics) ObserveMessage(ctx context.Context, message database.Message) {
	operation := operationLabel(message.Operation())
	m.statements.WithLabelValues(operation).Observe(message.Duration.Seconds())
	if message.Err != nil {
		m.failures.WithLabelValues(operation).Inc()
	}
	if m.slow > 0 && message.Duration >= m.slow {
		m.slowOnes.Inc()
		m.logger.WarnContext(ctx, "slow statement", "duration", message.Duration, "statement", message.Text())
	}
	traceMessage(ctx, message)
}

// operationLabel bounds the label to what a plan for it could differ by.
func operationLabel(operation string) string {
	switch operation {
	case "select", "insert", "update", "delete", "with", "begin", "commit", "rollback", "savepoint", "release":
		return operation
	}
	return "other"
}

// Pool adds the figures of a pool of connections.
func (m *Metrics) Pool(db *database.DB) {
	m.registry.MustRegister(poolCollector{db})
}

// poolCollector has the names of its own that a dashboard can rely on, whatever
// library keeps the pool.
type poolCollector struct{ db *database.DB }

var (
	poolLimit   = prometheus.NewDesc("tenon_database_connections_limit", "Most connections that this process opens.", nil, nil)
	poolConns   = prometheus.NewDesc("tenon_database_connections", "Connections that are open, by what they do.", []string{"state"}, nil)
	poolWaits   = prometheus.NewDesc("tenon_database_waits_total", "How often somebody waited for a connection.", nil, nil)
	poolWaited  = prometheus.NewDesc("tenon_database_wait_seconds_total", "How long everybody together waited for connections.", nil, nil)
	poolRetired = prometheus.NewDesc("tenon_database_connections_retired_total", "Connections that were closed, by why.", []string{"reason"}, nil)
)

func (c poolCollector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{poolLimit, poolConns, poolWaits, poolWaited, poolRetired} {
		out <- desc
	}
}

func (c poolCollector) Collect(out chan<- prometheus.Metric) {
	stats := c.db.Stats()
	out <- prometheus.MustNewConstMetric(poolLimit, prometheus.GaugeValue, float64(stats.MaxOpenConnections))
	out <- prometheus.MustNewConstMetric(poolConns, prometheus.GaugeValue, float64(stats.InUse), "busy")
	out <- prometheus.MustNewConstMetric(poolConns, prometheus.GaugeValue, float64(stats.Idle), "idle")
	out <- prometheus.MustNewConstMetric(poolWaits, prometheus.CounterValue, float64(stats.WaitCount))
	out <- prometheus.MustNewConstMetric(poolWaited, prometheus.CounterValue, stats.WaitDuration.Seconds())
	out <- prometheus.MustNewConstMetric(poolRetired, prometheus.CounterValue, float64(stats.MaxLifetimeClosed), "age")
	out <- prometheus.MustNewConstMetric(poolRetired, prometheus.CounterValue, float64(stats.MaxIdleTimeClosed), "idle")
}

// Cache adds the figures of a cache.
func (m *Metrics) Cache(name string, stats func() cache.Stats) {
	labels := prometheus.Labels{"cache": name}
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "tenon_cache_hits_total", Help: "How often a cache had what was asked for.", ConstLabels: labels},
			func() float64 { return float64(stats().Hits) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "tenon_cache_misses_total", Help: "How often a cache had not what was asked for.", ConstLabels: labels},
			func() float64 { return float64(stats().Misses) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tenon_cache_entries", Help: "How many entries a cache has.", ConstLabels: labels},
			func() float64 { return float64(stats().Entries) }))
}

// RateLimits adds whether limits are shared by all processes.
func (m *Metrics) RateLimits(shared *ratelimit.Redis) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tenon_rate_limit_shared", Help: "1 while Redis answers, so that all processes count together."},
			func() float64 {
				if shared.Shared() {
					return 1
				}
				return 0
			}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "tenon_rate_limit_fallbacks_total", Help: "Requests that were counted in this process alone because Redis did not answer."},
			func() float64 { return float64(shared.Fallbacks()) }))
}

// Reading is the value of a gauge at this moment.
type Reading struct {
	// Name is the metric's, such as "tenon_webhook_inbox_events".
	Name, Help string
	// Label and LabelValue tell apart what is measured of one name; both may be
	// empty. All readings of a name have the same label.
	Label, LabelValue string
	Value             float64
}

// Probe is gauges that are read when somebody asks, because keeping them would
// cost more. Read gets [probeTimeout].
type Probe struct {
	Name string
	Read func(ctx context.Context) ([]Reading, error)
}

// probeTimeout keeps a slow database from making the scrape fail, which would
// hide the very figures that say why.
const probeTimeout = 2 * time.Second

// Probe adds a probe.
func (m *Metrics) Probe(p Probe) { m.registry.MustRegister(probeCollector{m, p}) }

type probeCollector struct {
	metrics *Metrics
	probe   Probe
}

// Describe sends nothing: which gauges there are shows when they are read.
func (c probeCollector) Describe(chan<- *prometheus.Desc) {}

func (c probeCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	readings, err := c.probe.Read(ctx)
	if err != nil {
		c.metrics.probes.WithLabelValues(c.probe.Name).Inc()
		c.metrics.logger.WarnContext(ctx, "a probe cannot be read", "probe", c.probe.Name, "error", err)
		return
	}
	for _, r := range readings {
		var names, values []string
		if r.Label != "" {
			names, values = []string{r.Label}, []string{r.LabelValue}
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(r.Name, r.Help, names, nil), prometheus.GaugeValue, r.Value, values...)
	}
}

// Handler serves /metrics, /tenants (who was busiest: ?top=20&by=requests or
// by=seconds) and Go's profiles under /debug/pprof/. It is for operators and has
// no authentication: serve it where nobody else can reach it.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// What can be told is told when a part of it fails.
		ErrorHandling: promhttp.ContinueOnError,
		ErrorLog:      slog.NewLogLogger(m.logger.Handler(), slog.LevelWarn),
	}))
	mux.HandleFunc("GET /tenants", m.busiest.serve)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return mux
}
