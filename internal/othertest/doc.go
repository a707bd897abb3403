// Package othertest lets tests act as another user.
package othertest
