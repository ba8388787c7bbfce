//go:build unix && !linux

package process

import "os/exec"

// start does without the parent-death signal that only Linux has.
func start(cmd *exec.Cmd) (release func(), err error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	release, err = watch(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	return release, nil
}
