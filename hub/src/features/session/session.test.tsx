// @vitest-environment happy-dom
import { fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { LoginForm } from "./LoginForm";
import { PasswordForm } from "./PasswordForm";
import type { Session } from "./use-session";

function session(): Session {
  return {
    standing: undefined,
    failure: null,
    expired: false,
    retry: vi.fn(),
    login: vi.fn(),
    loginFailure: null,
    loggingIn: false,
    setPassword: vi.fn(),
    passwordFailure: null,
    settingPassword: false,
    skipPassword: vi.fn(),
    logout: vi.fn(),
  };
}

const type = (label: string, value: string) =>
  fireEvent.change(screen.getByLabelText(label), { target: { value } });

afterEach(() => document.body.replaceChildren());

test("a password logs in as a password and a key as a key", () => {
  const used = session();
  render(<LoginForm session={used} note={null} />);
  const button = screen.getByRole<HTMLButtonElement>("button", { name: "Log in" });
  expect(button.disabled).toBe(true);
  type("Administrator's password", " a good password ");
  fireEvent.click(button);
  expect(used.login).toHaveBeenLastCalledWith({ password: " a good password " });
  type("API key", " ak_1 ");
  fireEvent.click(button);
  expect(used.login).toHaveBeenLastCalledWith({ api_key: "ak_1" });
});

test("a first password has its least length in bytes, or is left for later", () => {
  const used = session();
  render(<PasswordForm session={used} />);
  const button = screen.getByRole<HTMLButtonElement>("button", { name: "Set the password" });
  type("New password", "elf letters");
  expect(button.disabled).toBe(true);
  type("New password", "zwölfe bytes");
  fireEvent.click(button);
  expect(used.setPassword).toHaveBeenLastCalledWith("zwölfe bytes");
  fireEvent.click(screen.getByRole("button", { name: "Later" }));
  expect(used.skipPassword).toHaveBeenCalledOnce();
});
