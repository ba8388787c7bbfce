package process

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// watch leaves a shell behind that sends SIGINT to pid when this program has
// ended. The shell reads from a pipe whose only other end this program holds,
// so the kernel tells it; release ends it without a signal to pid.
func watch(pid int) (release func(), err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	shell := exec.Command("/bin/sh", "-c", `read -r released || kill -INT "$1"`, "sh", strconv.Itoa(pid))
	shell.Dir = "/"
	shell.Stdin = read
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := shell.Start(); err != nil {
		write.Close()
		return nil, err
	}
	return func() {
		_, _ = write.WriteString("released\n")
		write.Close()
		_ = shell.Wait()
	}, nil
}
