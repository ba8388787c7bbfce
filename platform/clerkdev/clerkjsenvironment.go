package clerkdev

import (
	"encoding/json"
	"net/http"
	"path"
	"strings"
)

// The instance as ClerkJS sees it before anybody signs in, and ClerkJS itself.

// environment says how the instance is set up: people sign in by email address
// with a password or a code, one session a browser, organizations on, all else
// off. ClerkJS wants every attribute to be there.
func (e *Emulator) environment() any {
	kind := "production"
	if e.development {
		kind = "development"
	}
	off := map[string]any{
		"enabled": false, "required": false, "verifications": []string{}, "used_for_first_factor": false, "first_factors": []string{},
		"used_for_second_factor": false, "second_factors": []string{}, "verify_at_sign_up": false,
	}
	with := func(changes map[string]any) map[string]any {
		attribute := map[string]any{}
		for _, from := range []map[string]any{off, changes} {
			for name, value := range from {
				attribute[name] = value
			}
		}
		return attribute
	}
	named := with(map[string]any{"enabled": true})
	email := with(map[string]any{
		"enabled": true, "required": true, "used_for_first_factor": true, "first_factors": []string{"email_code"}, "verifications": []string{"email_code"},
	})
	password := with(map[string]any{"enabled": true, "required": true})
	home := e.publicURL.String()
	return map[string]any{
		"object": "environment", "id": "",
		"maintenance_mode": false, "client_debug_mode": false, "partitioned_cookies": false,
		"auth_config": map[string]any{
			"object": "auth_config", "id": "aconf_emulator", "single_session_mode": true, "claimed_at": nil, "reverification": false,
			"preferred_channels": map[string]string{}, "session_minter": false, "native_settings": nil,
		},
		"display_config": map[string]any{
			"object": "display_config", "id": "display_config_emulator", "instance_environment_type": kind, "application_name": "Tenon",
			"theme": map[string]any{}, "preferred_sign_in_strategy": "password", "logo_image_url": "", "favicon_image_url": "",
			"home_url": home, "sign_in_url": home + "/sign-in", "sign_up_url": home + "/sign-up", "user_profile_url": home + mountPath + "/user",
			"after_sign_in_url": home, "after_sign_up_url": home, "after_sign_out_one_url": home, "after_sign_out_all_url": home,
			"after_switch_session_url": home, "organization_profile_url": home, "create_organization_url": home,
			"after_leave_organization_url": home, "after_create_organization_url": home, "waitlist_url": home, "after_join_waitlist_url": home,
			"support_email": "", "branded": false, "clerk_js_version": "6", "captcha_public_key": nil, "captcha_widget_type": nil,
			"captcha_public_key_invisible": nil, "captcha_provider": "turnstile", "captcha_oauth_bypass": []string{}, "captcha_heartbeat": false,
			"google_one_tap_client_id": nil, "show_devmode_warning": false, "terms_url": "", "privacy_policy_url": "",
		},
		"user_settings": map[string]any{
			"attributes": map[string]any{
				"email_address": email, "password": password, "first_name": named, "last_name": named,
				"phone_number": off, "username": off, "web3_wallet": off, "authenticator_app": off, "backup_code": off, "passkey": off, "ticket": off,
			},
			"actions": map[string]bool{"delete_self": false, "create_organization": true},
			"social":  map[string]any{},
			"saml":    map[string]bool{"enabled": false},
			"enterprise_sso": map[string]bool{
				"enabled": false, "self_serve_sso": false, "self_serve_directory_sync": false,
			},
			"sign_in": map[string]any{"second_factor": map[string]bool{"required": false, "enabled": false}},
			"sign_up": map[string]any{
				"allowlist_only": false, "progressive": true, "captcha_enabled": false, "mode": "public", "legal_consent_enabled": false,
			},
			"password_settings": map[string]any{
				"allowed_special_characters": "", "disable_hibp": true, "min_length": minPasswordLength, "max_length": 72,
				"require_special_char": false, "require_numbers": false, "require_uppercase": false, "require_lowercase": false,
				"show_zxcvbn": false, "min_zxcvbn_strength": 0,
			},
			"passkey_settings":  map[string]bool{"allow_autofill": false, "show_sign_in_button": false},
			"username_settings": map[string]int{"min_length": 4, "max_length": 64},
			"attack_protection": map[string]any{"enumeration_protection": map[string]bool{"enabled": false}},
		},
		"organization_settings": map[string]any{
			"enabled": true, "max_allowed_memberships": defaultMaxMembers, "force_organization_selection": false,
			"actions": map[string]bool{"admin_delete": true},
			"domains": map[string]any{"enabled": false, "enrollment_modes": []string{}, "default_role": nil},
			"slug":    map[string]bool{"disabled": false}, "organization_creation_defaults": map[string]bool{"enabled": false},
		},
		"commerce_settings": map[string]any{"billing": map[string]any{
			"stripe_publishable_key": nil,
			"organization":           map[string]bool{"enabled": false, "has_paid_plans": false},
			"user":                   map[string]bool{"enabled": false, "has_paid_plans": false},
		}},
		"api_keys_settings": map[string]any{"user_api_keys_enabled": false, "orgs_api_keys_enabled": false},
		"protect_config":    map[string]any{"object": "protect_config", "id": "protect_config_emulator"},
	}
}

// mountScripts serves ClerkJS and its components where the Frontend API of a
// Clerk instance does: /npm/@clerk/clerk-js@6/dist/clerk.browser.js.
func (e *Emulator) mountScripts(mux *http.ServeMux) {
	mux.HandleFunc("GET "+mountPath+"/npm/@clerk/{package}/dist/{file}", func(w http.ResponseWriter, r *http.Request) {
		if err := e.serveScript(w, r); err != nil {
			writeError(w, e.logger, err)
		}
	})
}

func (e *Emulator) serveScript(w http.ResponseWriter, r *http.Request) error {
	name, version, _ := strings.Cut(r.PathValue("package"), "@")
	file := r.PathValue("file")
	if e.scripts == nil || name != "clerk-js" && name != "ui" || path.Ext(file) != ".js" {
		return errNotFound("script")
	}
	manifest, err := e.scripts.ReadFile("@clerk/" + name + "/package.json")
	if err != nil {
		return errNotFound("package @clerk/" + name)
	}
	var installed struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(manifest, &installed); err != nil {
		return err
	}
	if version != "" && version != installed.Version && !strings.HasPrefix(installed.Version, version+".") {
		return errNotFound("version " + version + " of @clerk/" + name)
	}
	opened, err := e.scripts.Open("@clerk/" + name + "/dist/" + file)
	if err != nil {
		return errNotFound("script")
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Access-Control-Allow-Origin", "*") // public code, which pages ask for with crossorigin
	http.ServeContent(w, r, file, info.ModTime(), opened)
	return nil
}
