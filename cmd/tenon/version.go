package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v3"
)

func versionCommand(s surroundings) *cli.Command {
	return &cli.Command{
		Name:         "version",
		Usage:        "print what this binary was built from",
		Before:       withoutArguments,
		OnUsageError: onUsageError,
		Action: func(context.Context, *cli.Command) error {
			_, err := fmt.Fprintf(s.stdout, "tenon %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// version names the build: the module's version, or the commit it was built
// from, marked when the tree had changes.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	revision := settings["vcs.revision"]
	if revision == "" {
		return "devel"
	}
	if settings["vcs.modified"] == "true" {
		revision += "+changes"
	}
	return revision
}
