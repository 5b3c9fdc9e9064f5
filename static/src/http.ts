// Requests that scripts make for themselves.

export function csrfToken(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
}

/** POST form fields and follow redirects. Throws if the server refuses. */
export async function post(url: string, fields: Record<string, string> = {}): Promise<Response> {
  const response = await fetch(url, {
    method: "POST",
    body: new URLSearchParams(fields),
    headers: { "X-CSRFToken": csrfToken() },
  });
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  return response;
}
