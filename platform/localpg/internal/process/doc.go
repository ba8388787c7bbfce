// Package process runs servers that must not outlive the program that started
// them and that refuse to run as root.
package process
