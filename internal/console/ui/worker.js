// Shows what the server says while no page is open. It reads nothing, keeps nothing and fetches nothing.
'use strict';

addEventListener('push', e => {
  let m = {};
  try { m = e.data.json() || {}; } catch { /* shown without words */ }
  const path = typeof m.path === 'string' && /^\/[a-z]/.test(m.path) ? m.path : '/approvals';
  e.waitUntil(registration.showNotification(String(m.title || 'Something waits in Assent').slice(0, 200), {
    body: String(m.body || '').slice(0, 700), tag: String(m.tag || 'assent').slice(0, 64), renotify: !m.silent, silent: !!m.silent,
    requireInteraction: !!m.stay, icon: '/ui/icon.svg', data: { path },
  }));
});

addEventListener('notificationclick', e => {
  e.notification.close();
  e.waitUntil((async () => {
    const url = new URL(e.notification.data.path, location.origin).href;
    for (const page of await clients.matchAll({ type: 'window', includeUncontrolled: true })) {
      if (page.url === url) return page.focus();
    }
    return clients.openWindow(url);
  })());
});
