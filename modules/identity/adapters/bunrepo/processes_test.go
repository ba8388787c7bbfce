package bunrepo_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/adapters/bunrepo"
	"github.com/tenonhq/tenon/modules/identity/identitytest"
	"github.com/tenonhq/tenon/platform/database/databasetest"
	"github.com/tenonhq/tenon/platform/localpg/localpgtest"
)

var (
	historyEvents = flag.Int("history-events", 150, "how many events the histories have that are delivered to PostgreSQL; `task soak` has 2000")
	historyKills  = flag.Int("history-kills", 6, "how often TestHistoriesConvergeOverKilledProcesses kills a worker; `task soak` has 200")
)

const workerVariable = "IDENTITY_TEST_WORKER"

// TestWorkerProcess is a process that TestHistoriesConvergeOverKilledProcesses
// starts and kills: it applies what is in the inbox until its input ends.
func TestWorkerProcess(t *testing.T) {
	url := os.Getenv(workerVariable)
	if url == "" {
		t.Skip("another test runs this one in a process of its own")
	}
	db := databasetest.Open(t, url)
	use, _, _ := newSync(t, db)
	worker := identity.NewWorker(bunrepo.NewInbox(db), db, use, func(_ string, payload []byte) (o identity.Observation, err error) {
		return o, json.Unmarshal(payload, &o)
	}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1)) // returns when whoever started this closes it, or is gone
		os.Exit(0)
	}()
	os.Stdout.WriteString("ready\n")
	worker.Run(t.Context())
}

// TestHistoriesConvergeOverKilledProcesses has two processes apply a history from
// one inbox, into which it comes in any order, in part twice and with a gap that is
// filled last, and kills them again and again by SIGKILL. What it leads to is
// what it leads to in memory, in order and undisturbed.
func TestHistoriesConvergeOverKilledProcesses(t *testing.T) {
	t.Parallel()
	const seed = 11
	history := identitytest.History(seed, *historyEvents)
	world := identitytest.NewWorld()
	for _, o := range history {
		if err := world.Sync.Apply(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	want, err := world.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	url := localpgtest.NewDatabase(t)
	db := databasetest.Open(t, url)
	_, service, members := newSync(t, db) // which migrates
	inbox := bunrepo.NewInbox(db)
	random := rand.New(rand.NewPCG(seed, 2))
	order := random.Perm(len(history))
	order = slices.Concat(order[len(order)/4:], order[:len(order)/8], order[:len(order)/4])

	var hits atomic.Int64 // kills while there was something to do
	var crew sync.WaitGroup
	stop := make(chan struct{})
	killed := make(chan struct{}, *historyKills)
	for n := range 2 {
		random := rand.New(rand.NewPCG(seed, uint64(10+n)))
		crew.Go(func() {
			for {
				select {
				case <-stop:
					return
				case killed <- struct{}{}:
					runWorker(t, url, stop, time.Duration(1+random.IntN(200))*time.Millisecond)
					if backlog, err := inbox.Backlog(t.Context()); err != nil {
						t.Error(err)
					} else if backlog.Pending > 0 {
						hits.Add(1)
					}
				default:
					runWorker(t, url, stop, 0)
				}
			}
		})
	}
	for at, i := range order {
		payload, err := json.Marshal(history[i])
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		event := identity.InboxEvent{ID: fmt.Sprintf("msg_%d", i), Type: "observation", Payload: payload, OccurredAt: now, ReceivedAt: now}
		if _, err := inbox.Add(t.Context(), event); err != nil {
			t.Fatalf("event %d: %v", at, err)
		}
	}
	for {
		backlog, err := inbox.Backlog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if backlog.Dead > 0 {
			t.Fatalf("%d events are dead", backlog.Dead)
		}
		if backlog.Pending == 0 && len(killed) == *historyKills {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	close(stop)
	crew.Wait()
	if hits.Load() == 0 {
		t.Error("no kill hit a worker that had something to do")
	}
	got, err := identitytest.ReadState(t.Context(), service, members)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, inUTC); diff != "" {
		t.Errorf("(-in memory, in order +by killed processes):\n%s", diff)
	}
}

// runWorker runs a worker in a process of its own until stop or, when that is
// not 0, until life after it has begun to look for events.
func runWorker(t *testing.T, url string, stop <-chan struct{}, life time.Duration) {
	command := exec.Command(os.Args[0], "-test.run=^TestWorkerProcess$")
	command.Env = append(os.Environ(), workerVariable+"="+url)
	command.Stderr = t.Output()
	stdin, inErr := command.StdinPipe() // closed, it ends the process
	stdout, outErr := command.StdoutPipe()
	if err := errors.Join(inErr, outErr, command.Start()); err != nil {
		t.Error(err)
		<-stop
		return
	}
	ready := make(chan bool, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- line == "ready\n"
	}()
	defer func() {
		_ = stdin.Close()
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	select {
	case <-stop:
		return
	case ok := <-ready:
		if !ok {
			t.Error("a worker ended before it began")
			return
		}
	}
	var over <-chan time.Time
	if life > 0 {
		over = time.After(life)
	}
	select {
	case <-stop:
	case <-over:
	}
}
