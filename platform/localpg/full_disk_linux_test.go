package localpg_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/tenonhq/tenon/platform/localpg"
)

func TestStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=711"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	_, err := localpg.Start(t.Context(), localpg.Config{DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), "the disk that holds "+dir+" is full") {
		t.Errorf("on a full disk: %v", err)
	}
}
